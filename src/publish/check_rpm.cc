// dnf's view of a repository: repomd.xml and its signature, the metadata it lists, the packages primary.xml lists.
#include <fmt/format.h>

#include "publish/check_context.h"
#include "publish/paths.h"
#include "publish/repomd.h"

namespace hailstone::publish {
namespace {

constexpr uint64_t kRepomdBytesMax = 16u << 20;

class RpmCheck {
 public:
  RpmCheck(const CheckContext& context, ByteView root, Extent extent)
      : context_(context), root_(root), repomd_key_(join(root, "repodata/repomd.xml")), extent_(extent) {}

  Result<void> run() {
    TRY(const auto entry, context_.release.lookup(repomd_key_));
    if (!entry) return {};
    TRY_DO(check_signature());
    if (entry->content.bytes > kRepomdBytesMax) {
      context_.refuse("rpm.repomd", repomd_key_,
                      fmt::format("is {} bytes, more than {}", entry->content.bytes, kRepomdBytesMax));
      return {};
    }
    TRY(const Bytes xml, context_.release.read(*entry, kRepomdBytesMax));
    const auto files = parse_repomd(xml);
    if (!files) {
      context_.refuse("rpm.repomd", repomd_key_, files.error().message + ": run createrepo_c again");
      return {};
    }
    for (const RpmFile& file : *files) TRY_DO(check_metadata(file));
    return {};
  }

 private:
  struct Located {
    Bytes path;
    volume::Entry entry;
  };

  Result<void> check_signature() const {
    const Bytes signature = repomd_key_ + ".asc";
    TRY(const auto now, context_.release.lookup(signature));
    TRY(const auto before, context_.parent.lookup(signature));
    if (!now) {
      if (before) context_.warn("rpm.signature", signature, "was removed: clients with repo_gpgcheck=1 will fail");
      return {};
    }
    TRY(const bool repomd_same, context_.unchanged(repomd_key_));
    if (!repomd_same && before && before->content.sha256 == now->content.sha256)
      context_.refuse(
          "rpm.signature", signature,
          "is still that of the old repomd.xml: sign the new one (gpg --detach-sign --armor repodata/repomd.xml)");
    return {};
  }

  /// Some generators escape hrefs as URLs, some don't: the name as written is tried first.
  Result<std::optional<Located>> locate(ByteView href) const {
    Bytes decoded;
    if (!percent_decode(href, decoded)) decoded = href;
    for (const Bytes& form : {Bytes(href), decoded}) {
      const auto path = relative_path(root_, form);
      if (!path) continue;
      TRY(auto entry, context_.release.lookup(*path));
      if (entry) return Located{*path, *std::move(entry)};
    }
    return std::nullopt;
  }

  /// Existence, size and checksum of what an index names.
  Result<std::optional<Located>> check_file(std::string check, const RpmFile& file, ByteView index) {
    if (file.elsewhere) return std::nullopt;
    TRY(auto located, locate(file.href));
    if (!located) {
      context_.refuse(
          check, join(root_, file.href),
          fmt::format("is listed in {} as {} but is not in the release: upload it, or run createrepo_c again", index,
                      printable(file.label)));
      return std::nullopt;
    }
    std::optional<Hash256> sha256;
    if (file.checksum_type == "sha256") {
      sha256 = Hash256::parse_hex(file.checksum);
      if (!sha256)
        context_.refuse(check, located->path,
                        fmt::format("has the malformed sha256 \"{}\" in {}", printable(file.checksum), index));
    } else if (!std::exchange(other_checksum_reported_, true)) {
      context_.warn(check, located->path,
                    fmt::format("and maybe others have a checksum of type \"{}\" in {}: only sizes are checked; "
                                "run createrepo_c with --checksum sha256",
                                printable(file.checksum_type), index));
    }
    if (!context_.same_bytes(std::move(check), located->path, located->entry, file.bytes, sha256, index))
      return std::nullopt;
    return located;
  }

  Result<void> check_metadata(const RpmFile& file) {
    TRY(const auto located, check_file("rpm.repomd", file, repomd_key_));
    if (!located || file.label != "primary") return {};
    TRY(const bool same, context_.unchanged(located->path));
    if (same && extent_ == Extent::Changed) return {};
    const auto coding = coding_of(located->path);
    if (!coding) {
      context_.warn("rpm.package", located->path, "its packages are not checked: this compression is not read here");
      return {};
    }
    return check_primary(*located, *coding);
  }

  Result<void> check_primary(const Located& primary, Coding coding) {
    std::optional<Error> store_error;
    const auto noting = [&](auto result) {
      if (!result) store_error = result.error();
      return result;
    };
    PrimaryParser parser([&](const RpmFile& package) -> Result<void> {
      TRY_DO(noting(check_file("rpm.package", package, primary.path)));
      return {};
    });
    const ByteSource pieces = context_.release.stream(primary.entry);
    auto result = decompress(
        coding, [&] { return noting(pieces()); }, [&](ByteView bytes) { return parser.feed(bytes); },
        context_.options.index_bytes_max);
    if (result) result = parser.finish();
    if (store_error) return std::unexpected(*store_error);
    if (!result) context_.refuse("rpm.repomd", primary.path, result.error().message + ": run createrepo_c again");
    return {};
  }

  const CheckContext& context_;
  Bytes root_;
  Bytes repomd_key_;
  Extent extent_;
  bool other_checksum_reported_ = false;
};

}  // namespace

Result<void> check_rpm(const CheckContext& context, ByteView root, Extent extent) {
  return RpmCheck(context, root, extent).run();
}

}  // namespace hailstone::publish
