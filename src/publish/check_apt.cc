// apt's view of a distribution: Release, InRelease and Release.gpg, the indexes they list, the packages those list.
#include <fmt/format.h>

#include <charconv>
#include <map>
#include <set>

#include "base/clock.h"
#include "publish/check_context.h"
#include "publish/deb822.h"
#include "publish/paths.h"

namespace hailstone::publish {
namespace {

constexpr uint64_t kReleaseBytesMax = kParagraphBytesMax;
constexpr int64_t kFutureSecondsMax = 10;  // apt.conf(5) Acquire::Max-FutureTime

using volume::Entry;

/// One form in which an index exists: what Release says of it, and the path that leads to it.
struct Form {
  const ListedFile* listed;
  Bytes path;
  Entry entry;
};

class AptCheck {
 public:
  AptCheck(const CheckContext& context, ByteView directory, Extent extent)
      : context_(context), directory_(directory), extent_(extent) {}

  Result<void> run() {
    TRY(const auto signed_text, read_in_release());
    TRY(const auto plain_text, read_text("Release"));
    if (signed_text && plain_text) compare(*signed_text, *plain_text);
    TRY_DO(check_detached_signature());
    const auto& text = signed_text ? signed_text : plain_text;
    if (!text) return {};
    release_key_ = join(directory_, signed_text ? "InRelease" : "Release");
    auto release = parse_apt_release(*text);
    // Per-component Release files (main/binary-amd64/Release) list nothing, and elsewhere the name may mean anything.
    if (!signed_text && (release ? release->files.empty() && !release->lists_weak_only : !below_dists())) return {};
    if (!release) {
      context_.refuse("apt.release", release_key_, fmt::format("{}: generate it again", release.error().message));
      return {};
    }
    release_ = *std::move(release);
    check_dates();
    if (release_.lists_weak_only)
      context_.refuse("apt.release", release_key_,
                      "lists no SHA256, and apt refuses MD5Sum and SHA1: generate it with SHA256");
    return check_indexes();
  }

 private:
  Result<std::optional<Bytes>> read_text(ByteView name) {
    const Bytes key = join(directory_, name);
    TRY(const auto entry, context_.release.lookup(key));
    if (!entry) return std::nullopt;
    if (entry->content.bytes > kReleaseBytesMax) {
      if (below_dists())
        context_.refuse("apt.release", key,
                        fmt::format("is {} bytes, and more than {} can't be checked: split the distribution",
                                    entry->content.bytes, kReleaseBytesMax));
      return std::nullopt;
    }
    TRY(Bytes text, context_.release.read(*entry, kReleaseBytesMax));
    return text;
  }

  bool below_dists() const { return ("/" + directory_ + "/").find("/dists/") != Bytes::npos; }

  Result<std::optional<Bytes>> read_in_release() {
    TRY(const auto message, read_text("InRelease"));
    if (!message) return std::nullopt;
    auto text = clear_signed_text(*message);
    if (text) return *std::move(text);
    context_.refuse("apt.signature", join(directory_, "InRelease"), text.error().message + ": sign Release again");
    return std::nullopt;
  }

  /// Trailing white space is not signed in clear-signed text (RFC 9580 §7.2).
  static Bytes without_trailing_space(ByteView text) {
    Bytes out;
    while (!text.empty()) {
      const ByteView line = text.substr(0, text.find('\n'));
      text.remove_prefix(std::min(line.size() + 1, text.size()));
      out += line.substr(0, line.find_last_not_of(" \t\r") + 1);
      out += '\n';
    }
    out.erase(out.find_last_not_of('\n') + 1);
    return out;
  }

  void compare(ByteView signed_text, ByteView plain_text) const {
    if (without_trailing_space(signed_text) == without_trailing_space(plain_text)) return;
    context_.refuse("apt.signature", join(directory_, "InRelease"),
                    "signs another text than Release has: sign again, and put both in the same publish");
  }

  Result<void> check_detached_signature() const {
    const Bytes release = join(directory_, "Release"), signature = join(directory_, "Release.gpg");
    TRY(const bool release_same, context_.unchanged(release));
    TRY(const bool signature_same, context_.unchanged(signature));
    if (release_same || !signature_same) {
      TRY(const auto now, context_.release.lookup(signature));
      TRY(const auto before, context_.parent.lookup(signature));
      TRY(const auto unsigned_release, context_.release.lookup(release));
      if (!now && before && unsigned_release)
        context_.warn("apt.signature", signature,
                      "was removed while Release is still there: clients that use it can't verify Release");
      return {};
    }
    TRY(const auto entry, context_.release.lookup(signature));
    if (entry)
      context_.refuse("apt.signature", signature,
                      "is still that of the old Release: sign the new one (gpg -abs -o Release.gpg Release)");
    return {};
  }

  void check_dates() const {
    const int64_t now = context_.options.now.seconds();
    const auto text = [](int64_t seconds) { return format_iso8601(UnixMicros{seconds * 1'000'000}); };
    if (release_.date && *release_.date > now + kFutureSecondsMax)
      context_.refuse("apt.date", release_key_,
                      fmt::format("Date {} is {} s in the future, and apt accepts {} s: mend the clock that made it",
                                  text(*release_.date), *release_.date - now, kFutureSecondsMax));
    if (release_.valid_until && *release_.valid_until < now)
      context_.refuse("apt.date", release_key_,
                      fmt::format("Valid-Until {} has passed, so apt refuses it: generate and sign Release again",
                                  text(*release_.valid_until)));
  }

  /// By-hash names are as good as the plain one to clients with Acquire-By-Hash.
  static Bytes by_hash(ByteView path, const Hash256& sha256) {
    return join(parent_of(path), "by-hash/SHA256/" + sha256.hex());
  }

  /// Checks one listed file; the form to read it by, if it exists in one and is whole.
  Result<std::optional<Form>> check_listed(const ListedFile& file) {
    const Bytes path = join(directory_, file.name);
    TRY(auto entry, context_.release.lookup(path));
    if (entry) {
      ++existing_[Bytes(parent_of(path))];
      present_.emplace(without_coding(path));
      if (!context_.same_bytes("apt.index", path, *entry, file.bytes, file.sha256, release_key_)) return std::nullopt;
      return Form{&file, path, *std::move(entry)};
    }
    const Bytes hashed = by_hash(path, file.sha256);
    TRY(entry, context_.release.lookup(hashed));
    if (!entry) return std::nullopt;
    ++existing_[Bytes(parent_of(path))];
    present_.emplace(without_coding(path));
    if (!context_.same_bytes("apt.index", hashed, *entry, file.bytes, file.sha256, release_key_)) return std::nullopt;
    return Form{&file, hashed, *std::move(entry)};
  }

  Result<void> check_indexes() {
    std::map<Bytes, Form> best;  // by the name without coding: the form that is cheapest to read
    const auto cost = [](ByteView name) { return coding_of(name) ? static_cast<int>(*coding_of(name)) : 99; };
    for (const ListedFile& file : release_.files) {
      TRY(auto form, check_listed(file));
      const ByteView name = name_of(without_coding(file.name));
      if (!form || (name != "Packages" && name != "Sources")) continue;
      Bytes stem(without_coding(file.name));
      const auto [at, fresh] = best.try_emplace(std::move(stem), *form);
      if (!fresh && cost(file.name) < cost(at->second.listed->name)) at->second = *std::move(form);
    }
    report_absent();
    for (const auto& [stem, form] : best) TRY_DO(check_packages(stem, form));
    return {};
  }

  void report_absent() const {
    std::set<Bytes> reported;
    for (const ListedFile& file : release_.files) {
      const Bytes path = join(directory_, file.name);
      const Bytes stem(without_coding(path));
      if (present_.contains(stem) || !reported.insert(stem).second) continue;
      const bool directory_absent = !existing_.contains(Bytes(parent_of(path)));
      context_.add(directory_absent ? context_.options.absent_directory : Finding::Severity::Refuse, "apt.index", stem,
                   fmt::format("is listed in {} but exists in no form (plain, compressed or by-hash): upload it, or "
                               "generate Release again",
                               release_key_));
    }
  }

  Result<void> check_packages(ByteView stem, const Form& form) {
    TRY(const bool same, context_.unchanged(form.path));
    if (same && extent_ == Extent::Changed) return {};
    const auto coding = coding_of(form.listed->name);
    if (!coding) {
      context_.warn("apt.package", form.path,
                    "its packages are not checked: this compression is not read here; add a .gz, .xz or .zst form");
      return {};
    }
    const bool sources = name_of(stem) == "Sources";
    root_.reset();
    weak_reported_ = false;
    std::optional<Error> store_error;
    ParagraphParser parser([&](const Paragraph& paragraph) -> Result<void> {
      auto checked = sources ? check_source(form.path, paragraph) : check_package(form.path, paragraph);
      if (!checked) store_error = checked.error();
      return checked;
    });
    TRY_DO(pump(form, *coding, parser, store_error));
    return {};
  }

  /// What is wrong with the index is a finding; what is wrong with the stores is an error.
  Result<void> pump(const Form& form, Coding coding, ParagraphParser& parser, std::optional<Error>& store_error) {
    const ByteSource pieces = context_.release.stream(form.entry);
    const ByteSource source = [&]() -> Result<Bytes> {
      auto piece = pieces();
      if (!piece) store_error = piece.error();
      return piece;
    };
    auto result = decompress(
        coding, source, [&](ByteView bytes) { return parser.feed(bytes); }, context_.options.index_bytes_max);
    if (result) result = parser.finish();
    if (store_error) return std::unexpected(*store_error);
    if (!result) context_.refuse("apt.index", form.path, result.error().message + ": generate it again");
    return {};
  }

  Result<void> check_package(ByteView index, const Paragraph& paragraph) {
    const auto filename = paragraph.field("Filename");
    const ByteView package = paragraph.field("Package").value_or("");
    if (!filename) {
      context_.refuse("apt.package", index,
                      fmt::format("package \"{}\" has no Filename: generate the index again", printable(package)));
      return {};
    }
    std::optional<uint64_t> bytes;
    if (const auto size = paragraph.field("Size")) {
      uint64_t value = 0;
      if (std::from_chars(size->data(), size->data() + size->size(), value).ec == std::errc()) bytes = value;
    }
    const auto sha256 = Hash256::parse_hex(paragraph.field("SHA256").value_or(""));
    if (!sha256 && !std::exchange(weak_reported_, true))
      context_.warn("apt.package", index,
                    fmt::format("package \"{}\" and maybe others have no SHA256: only their size is checked",
                                printable(package)));
    return check_file(index, *filename, bytes, sha256);
  }

  Result<void> check_source(ByteView index, const Paragraph& paragraph) {
    const auto lines = paragraph.field("Checksums-Sha256");
    if (!lines) return {};
    auto files = parse_listed_files(*lines);
    if (!files) {
      context_.refuse("apt.package", index, "Checksums-Sha256: " + files.error().message);
      return {};
    }
    const ByteView directory = paragraph.field("Directory").value_or(".");
    for (const ListedFile& file : *files)
      TRY_DO(check_file(index, join(directory, file.name), file.bytes, file.sha256));
    return {};
  }

  Result<void> check_file(ByteView index, ByteView filename, std::optional<uint64_t> bytes,
                          const std::optional<Hash256>& sha256) {
    TRY_DO(find_root(filename));
    const auto path = relative_path(*root_, filename);
    if (!path) {
      context_.refuse("apt.package", index,
                      fmt::format("names \"{}\", which is no path within the repository", printable(filename)));
      return {};
    }
    TRY(const auto entry, context_.release.lookup(*path));
    if (!entry) {
      context_.refuse(
          "apt.package", *path,
          fmt::format("is listed in {} but is not in the release: upload it, or generate the index again", index));
      return {};
    }
    context_.same_bytes("apt.package", *path, *entry, bytes, sha256, index);
    return {};
  }

  /// File names are relative to the repository's root: what stands before "dists/", or, of a flat repository, the
  /// nearest directory from which the first name leads anywhere.
  Result<void> find_root(ByteView first) {
    if (root_) return {};
    const Bytes slashed = "/" + directory_ + "/";
    if (const size_t dists = slashed.rfind("/dists/"); dists != slashed.npos) {
      root_ = dists == 0 ? Bytes() : slashed.substr(1, dists - 1);
      return {};
    }
    for (Bytes candidate = directory_;; candidate = Bytes(parent_of(candidate))) {
      if (const auto path = relative_path(candidate, first)) {
        TRY(const auto entry, context_.release.lookup(*path));
        if (entry) {
          root_ = candidate;
          return {};
        }
      }
      if (candidate.empty()) break;
    }
    root_ = directory_;
    return {};
  }

  const CheckContext& context_;
  Bytes directory_;
  Extent extent_;
  Bytes release_key_;
  AptRelease release_;
  std::map<Bytes, uint64_t> existing_;    // listed files that exist, by directory
  std::set<Bytes, std::less<>> present_;  // paths without coding of which some form exists
  std::optional<Bytes> root_;
  bool weak_reported_ = false;
};

}  // namespace

Result<void> check_apt(const CheckContext& context, ByteView directory, Extent extent) {
  return AptCheck(context, directory, extent).run();
}

}  // namespace hailstone::publish
