#include <fmt/format.h>

#include <set>

#include "api/cut_options.h"
#include "api/upload.h"
#include "api/write.h"

namespace hailstone::api {
namespace {

constexpr size_t kEditsMax = 20'000;
constexpr size_t kPreconditionsMax = 20'000;

Result<std::vector<volume::Condition>> read_conditions(const Json& body) {
  std::vector<volume::Condition> out;
  Fields fields(body, "");
  if (!fields.optional_array("preconditions", kPreconditionsMax)) return out;
  for (Fields& one : fields.objects("preconditions", kPreconditionsMax)) {
    volume::Condition& condition = out.emplace_back();
    condition.key = one.key();
    if (!one.has("etag")) one.refuse("etag", "is missing: an ETag, or null where the key must not exist");
    if (const auto etag = one.optional_text("etag")) {
      condition.if_match = std::vector<Bytes>{*etag};
    } else {
      condition.if_none_match = std::vector<Bytes>{"*"};
    }
    TRY_DO(one.finish());
  }
  return out;
}

/// Another entry's content and metadata under a new key; its chunks are kept from collection until this is committed.
Result<volume::Entry> copied(Context& context, const Call& call, const Json& from, const Bytes& where) {
  Fields fields(from, where);
  const Bytes name = fields.text("target");
  const Bytes key = fields.key();
  TRY_DO(fields.finish());
  const TargetName source = split_target(name);
  const auto state = context.repository().published().load();
  const Verdict verdict = source.release
                              ? require_release_read(call.identity, source.volume, state->find(source.volume).get())
                              : require(call.identity, volume::Role::Reader, source.volume);
  if (verdict != Verdict::Allowed)
    return fail(Code::Denied, fmt::format("{}: this access key may not read '{}'", where, printable(name)));
  TRY(const auto target, context.repository().resolve(name));
  TRY(const auto contents, context.repository().open(target));
  TRY(auto entry, contents->get(key));
  if (!entry) return std::unexpected(no_key(target, key));
  TRY(const bool whole, claim_content(context.repository().chunks(), entry->content));
  if (!whole) return fail(Code::Conflict, fmt::format("{}: '{}' is being collected", where, printable(key)));
  return *std::move(entry);
}

class Edits {
 public:
  Edits(Context& context, const Call& call, const volume::Target& target)
      : context_(context), call_(call), cut_(cut_options(target.volume->record.settings)) {}

  Result<volume::Put> read(Fields& edit, size_t index) {
    volume::Put put;
    put.key = edit.key();
    const bool remove = edit.optional_flag("delete").value_or(false);
    const auto text = edit.optional_text("text");
    const auto base64 = edit.optional_base64("base64");
    const Json* copy_from = edit.optional_object("copy_from");
    const auto content_type = edit.optional_text("content_type");
    const int given = (remove ? 1 : 0) + (text ? 1 : 0) + (base64 ? 1 : 0) + (copy_from ? 1 : 0);
    if (given != 1) edit.refuse("key", "takes exactly one of 'delete': true, 'text', 'base64' and 'copy_from'");
    if (content_type && remove) edit.refuse("content_type", "has no meaning for a removal");
    if (!keys_.insert(put.key).second) edit.refuse("key", "is edited twice in one batch");
    TRY_DO(edit.finish());
    if (copy_from) {
      TRY(put.entry, copied(context_, call_, *copy_from, fmt::format("edits[{}].copy_from", index)));
    } else if (!remove) {
      put.entry.emplace();
      TRY(put.entry->content, chunk::write_content(context_.repository().chunks(), cut_, text ? *text : *base64));
    }
    if (put.entry) {
      put.entry->modified_ns = context_.repository().clock().wall().value * 1000;
      if (content_type) put.entry->content_type = *content_type;
    }
    return put;
  }

 private:
  Context& context_;
  const Call& call_;
  chunk::CutOptions cut_;
  std::set<Bytes> keys_;
};

}  // namespace

Outcome batch(Context& context, const Call& call) {
  TRY(const auto target, writable_target(context, call));
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  fields.optional_array("preconditions", kPreconditionsMax);
  auto edits = fields.objects("edits", kEditsMax);
  TRY_DO(fields.finish());
  TRY(const auto conditions, read_conditions(body));
  if (edits.empty()) return std::unexpected(Failure(Error{Code::Invalid, "field 'edits' is empty"}));
  const auto session = context.repository().chunks().begin_writes();
  std::vector<volume::Put> puts;
  Edits reader(context, call, target);
  for (size_t i = 0; i < edits.size(); ++i) {
    TRY(auto put, reader.read(edits[i], i));
    puts.push_back(std::move(put));
  }
  TRY_DO(context.repository().chunks().sync());
  TRY(const auto written, write_batch(context, call, target, conditions, puts));
  return Answer{200, {{"position", written.slot.value}, {"token", written.token}}};
}

}  // namespace hailstone::api
