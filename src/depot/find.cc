#include "depot/find.h"

#include <optional>

#include "chunk/content.h"

namespace hailstone::depot {
namespace {

constexpr uint64_t kTargetBytesMax = 4096;  // PATH_MAX: no link on a file system is longer

// The path a link means, without a slash at its end ("" is the root). Nothing when it leads out of the volume.
std::optional<Bytes> link_target(ByteView link_key, ByteView target) {
  Bytes out;
  if (!target.starts_with('/')) {
    const size_t slash = link_key.rfind('/');
    if (slash != ByteView::npos) out = link_key.substr(0, slash);
  }
  while (!target.empty()) {
    const size_t end = target.find('/');
    const ByteView segment = target.substr(0, end);
    target.remove_prefix(end == ByteView::npos ? target.size() : end + 1);
    if (segment.empty() || segment == ".") continue;
    if (segment == "..") {
      if (out.empty()) return std::nullopt;
      const size_t slash = out.rfind('/');
      out.erase(slash == Bytes::npos ? 0 : slash);
      continue;
    }
    if (!out.empty()) out += '/';
    out += segment;
  }
  return out;
}

class Finder {
 public:
  Finder(const Store& store, const tree::Root& root) : store_(store), root_(root) {}

  Result<Found> find(Bytes path) {
    for (;;) {
      if (path.empty() || path.ends_with('/')) {
        TRY(auto found, directory(path));
        if (found.kind != Found::Kind::Nothing) return found;
      } else {
        TRY(auto entry, lookup(path));
        if (entry && entry->kind == volume::Kind::File)
          return Found{Found::Kind::File, std::move(path), *std::move(entry)};
        if (entry && entry->kind == volume::Kind::Symlink) {
          TRY(auto target, follow(path, *entry));
          if (!target) return Found{};
          if (target->empty()) return Found{Found::Kind::NeedsSlash, {}, {}};  // a link to the root
          path = *std::move(target);
          continue;
        }
        TRY(const bool exists, has_prefix(path + "/"));
        if (exists) return Found{Found::Kind::NeedsSlash, std::move(path), {}};
      }
      TRY(auto elsewhere, through_linked_directory(path));
      if (!elsewhere) return Found{};
      path = *std::move(elsewhere);
    }
  }

 private:
  Result<std::optional<volume::Entry>> lookup(ByteView key) {
    auto found = tree::lookup_view(store_.nodes, root_, key);
    if (!found) return std::unexpected(damaged(std::move(found).error()));
    if (!*found) return std::nullopt;
    TRY(auto entry, volume::Entry::decode((*found)->value));
    return std::optional<volume::Entry>(std::move(entry));
  }

  Result<bool> has_prefix(ByteView prefix) {
    tree::Cursor cursor(store_.nodes, root_);
    if (auto sought = cursor.seek(prefix); !sought) return std::unexpected(damaged(std::move(sought).error()));
    return cursor.valid() && cursor.key().starts_with(prefix);
  }

  Result<Found> directory(const Bytes& path) {
    if (!path.empty()) {
      // S3 allows an object whose name ends with '/'; one with content is a file like any other.
      TRY(auto own, lookup(path));
      if (own && own->kind == volume::Kind::File && own->content.bytes > 0)
        return Found{Found::Kind::File, path, *std::move(own)};
    }
    const Bytes index = path + "index.html";
    TRY(auto entry, lookup(index));
    if (entry && entry->kind == volume::Kind::File) return Found{Found::Kind::File, index, *std::move(entry)};
    if (entry && entry->kind == volume::Kind::Symlink) {
      TRY(auto target, follow(index, *entry));
      if (target && !target->empty()) {
        TRY(auto found, find(*std::move(target)));
        if (found.kind == Found::Kind::File) return found;
      }
    }
    if (!path.empty()) {
      TRY(const bool exists, has_prefix(path));
      if (!exists) return Found{};
    }
    return Found{Found::Kind::Directory, path, {}};
  }

  // Nothing when the link leads out of the volume, or one link too many was followed.
  Result<std::optional<Bytes>> follow(ByteView key, const volume::Entry& link) {
    if (links_++ >= kLinksMax) return std::nullopt;
    const chunk::Content& content = link.content;
    if (content.refs.empty()) return link_target(key, content.inlined);
    auto target = chunk::read_content(store_.chunks, content, 0, content.bytes, kTargetBytesMax);
    if (!target) return std::unexpected(damaged(std::move(target).error()));
    return link_target(key, *target);
  }

  // Where `path` leads when one of the directories on it is a symbolic link.
  Result<std::optional<Bytes>> through_linked_directory(const Bytes& path) {
    const size_t last = path.rfind('/');
    if (last == Bytes::npos) return std::nullopt;
    if (last + 1 < path.size()) {
      // Where keys exist below the parent, it is a directory and not a link: the usual miss costs one seek.
      TRY(const bool exists, has_prefix(ByteView(path).substr(0, last + 1)));
      if (exists) return std::nullopt;
    }
    for (size_t slash = path.find('/'); slash != Bytes::npos; slash = path.find('/', slash + 1)) {
      const ByteView prefix = ByteView(path).substr(0, slash);
      if (prefix.empty()) continue;
      TRY(auto entry, lookup(prefix));
      if (!entry || entry->kind != volume::Kind::Symlink) continue;
      TRY(auto target, follow(prefix, *entry));
      if (!target) return std::nullopt;
      const ByteView rest = ByteView(path).substr(slash);
      return std::optional<Bytes>(target->empty() ? Bytes(rest.substr(1)) : *target + Bytes(rest));
    }
    return std::nullopt;
  }

  const Store& store_;
  const tree::Root& root_;
  int links_ = 0;
};

}  // namespace

Result<Found> find(const Store& store, const tree::Root& root, ByteView key) {
  return Finder(store, root).find(Bytes(key));
}

bool same_content(const Found& a, const Found& b) {
  if (a.kind != b.kind) return false;
  return a.kind != Found::Kind::File || a.entry.content.sha256 == b.entry.content.sha256;
}

Error damaged(Error error) {
  if (error.code == Code::NotFound) error.code = Code::Corrupt;
  return error;
}

}  // namespace hailstone::depot
