#include "publish/checks.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "publish/check_context.h"
#include "publish/package_name.h"
#include "publish/paths.h"

namespace hailstone::publish {
namespace {

/// Which repositories a difference touches.
class ChangedRepositories {
 public:
  explicit ChangedRepositories(const CheckContext& context) : context_(context) {}

  Result<void> scan() {
    tree::DiffCursor cursor(context_.release.nodes(), context_.parent.root(), context_.release.root());
    for (;;) {
      TRY(const auto difference, cursor.next());
      if (!difference) break;
      TRY_DO(take(*difference));
    }
    return resolve_lost();
  }

  const std::map<Bytes, Extent>& apt() const { return apt_; }
  const std::map<Bytes, Extent>& rpm() const { return rpm_; }

 private:
  Result<void> take(const tree::Difference& difference) {
    const ByteView key = difference.key, name = name_of(key);
    if (name == "Release" || name == "InRelease" || name == "Release.gpg")
      note(apt_, Bytes(parent_of(key)), Extent::Changed);
    else if (name_of(parent_of(key)) == "repodata")
      note(rpm_, Bytes(parent_of(parent_of(key))), Extent::Changed);
    else if (is_apt_index(key))
      note_ancestors(key);
    const auto package = package_name(key);
    if (!package || !difference.left) return {};
    if (difference.right) {
      TRY(const bool fixed, check_fixed_bytes(difference, *package));
      if (fixed) return {};
    }
    if (package->kind == PackageKind::Deb || package->kind == PackageKind::DebSource ||
        package->kind == PackageKind::Rpm)
      note(lost_from_, Bytes(parent_of(key)), Extent::Whole);
    return {};
  }

  static bool is_apt_index(ByteView key) {
    const ByteView name = name_of(key);
    for (ByteView start : {"Packages", "Sources", "Contents-", "Translation-"})
      if (name.starts_with(start)) return true;
    return key.find("/by-hash/") != key.npos;
  }

  /// Whether a key that is in both releases kept its bytes.
  Result<bool> check_fixed_bytes(const tree::Difference& difference, const PackageName& package) const {
    TRY(const auto before, volume::Entry::decode(*difference.left));
    TRY(const auto after, volume::Entry::decode(*difference.right));
    if (before.content.sha256 == after.content.sha256) return true;
    if (promises_fixed_bytes(package))
      context_.warn(
          "package.bytes", difference.key,
          fmt::format(
              "{} {} has other bytes than before ({} -> {}) under the same name: caches and clients that know the old "
              "ones will fail; publish it with a new version",
              printable(package.name), printable(package.version), before.content.sha256.brief(),
              after.content.sha256.brief()));
    return false;
  }

  void note(std::map<Bytes, Extent>& directories, Bytes directory, Extent extent) {
    if (directories.size() >= context_.options.directories_max && !directories.contains(directory)) {
      if (!std::exchange(overflowed_, true))
        context_.warn("publish.size", directory,
                      fmt::format("more than {} changed directories: some repositories are not checked",
                                  context_.options.directories_max));
      return;
    }
    Extent& kept = directories.try_emplace(std::move(directory), extent).first->second;
    kept = std::max(kept, extent);
  }

  /// The distribution that lists an index is at one of the directories above it.
  void note_ancestors(ByteView key) {
    for (ByteView directory = parent_of(key);; directory = parent_of(directory)) {
      note(apt_, Bytes(directory), Extent::Changed);
      if (directory.empty() || name_of(parent_of(directory)) == "dists") return;
    }
  }

  /// A package that is gone or replaced may be named by an index that did not change: find the repositories above it.
  Result<void> resolve_lost() {
    std::map<Bytes, Extent> ancestors;
    for (const auto& [directory, extent] : lost_from_)
      for (ByteView at = directory;; at = parent_of(at)) {
        note(ancestors, Bytes(at), extent);
        if (at.empty()) break;
      }
    for (const auto& [directory, extent] : ancestors) {
      note(rpm_, directory, extent);  // most are none: a lookup decides
      note(apt_, directory, extent);
      TRY_DO(note_distributions(directory));
    }
    return {};
  }

  /// Every directory right below `root`/dists.
  Result<void> note_distributions(ByteView root) {
    const Bytes dists = join(root, "dists") + "/";
    tree::Cursor cursor(context_.release.nodes(), context_.release.root());
    Bytes from = dists;
    for (;;) {
      TRY_DO(cursor.seek(from));
      if (!cursor.valid() || !cursor.key().starts_with(dists)) return {};
      const size_t slash = cursor.key().find('/', dists.size());
      if (slash == ByteView::npos) {  // a file or link right in dists/
        from = Bytes(cursor.key()) + '\0';
        continue;
      }
      const Bytes distribution(cursor.key().substr(0, slash));
      note(apt_, distribution, Extent::Whole);
      from = distribution + "0";  // the character after '/'
    }
  }

  const CheckContext& context_;
  std::map<Bytes, Extent> apt_, rpm_;
  std::map<Bytes, Extent> lost_from_;  // directories that packages are gone from
  bool overflowed_ = false;
};

}  // namespace

void CheckContext::add(Finding::Severity severity, std::string check, ByteView key, std::string message) const {
  ++(severity == Finding::Severity::Refuse ? report.refused : report.warned);
  if (report.findings.size() < options.findings_max)
    report.findings.push_back({severity, std::move(check), Bytes(key), std::move(message)});
}

Result<bool> CheckContext::unchanged(ByteView path) const {
  TRY(const auto before, parent.lookup(path));
  TRY(const auto after, release.lookup(path));
  if (!before || !after) return before.has_value() == after.has_value();
  return before->content.sha256 == after->content.sha256;
}

bool CheckContext::same_bytes(std::string check, ByteView key, const volume::Entry& entry,
                              std::optional<uint64_t> bytes, const std::optional<Hash256>& sha256,
                              ByteView index) const {
  if (bytes && entry.content.bytes != *bytes) {
    refuse(std::move(check), key,
           fmt::format("is {} bytes, but {} says {}: upload the right file, or generate the index again",
                       entry.content.bytes, index, *bytes));
    return false;
  }
  if (sha256 && entry.content.sha256 != *sha256) {
    refuse(std::move(check), key,
           fmt::format("has SHA-256 {}, but {} says {}: upload the right file, or generate the index again",
                       entry.content.sha256.hex(), index, sha256->hex()));
    return false;
  }
  return true;
}

Result<CheckReport> check_release(const ReleaseView& parent, const ReleaseView& release, const CheckOptions& options) {
  CheckReport report;
  const CheckContext context{parent, release, options, report};
  ChangedRepositories changed(context);
  TRY_DO(changed.scan());
  for (const auto& [directory, extent] : changed.apt()) TRY_DO(check_apt(context, directory, extent));
  for (const auto& [root, extent] : changed.rpm()) TRY_DO(check_rpm(context, root, extent));
  return report;
}

}  // namespace hailstone::publish
