#include "api/call.h"

namespace hailstone::api {
namespace {

Result<volume::DraftRecord> path_draft(Context& context, const Call& call, const volume::Volume& v) {
  TRY(const uint64_t id, path_number(call, "draft"));
  return context.repository().draft(v, DraftId(id));
}

}  // namespace

Outcome list_drafts(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const auto drafts, context.repository().drafts(*v));
  Json list = Json::array();
  for (const auto& draft : drafts) list.push_back(to_json(draft));
  return Answer{200, {{"drafts", std::move(list)}}};
}

Outcome open_draft(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const Json body, parse_object(call.body));
  Fields fields(body, "");
  const auto base = fields.optional_number("base", 0, UINT64_MAX);
  const Bytes message = fields.optional_text("message").value_or("");
  TRY_DO(fields.finish());
  volume::DraftRecord draft;
  draft.message = message;
  draft.author = call.caller.name;
  if (base) {
    draft.base = ReleaseNumber(*base);
  } else if (const volume::Flip* current = v->channel("current")) {
    draft.base = current->release;
  }
  if (draft.base) {
    TRY(const auto release, context.repository().release(*v, draft.base));
    draft.base_root = release.root;
  }
  TRY(const auto reply, context.repository().submit(
                            call.caller, volume::OpenDraft{v->record.name, draft.base, draft.base_root, message}));
  // Not read back: a repeated request gets the first answer even when the draft has been published since.
  draft.id = DraftId(reply.number);
  draft.opened = draft.active = reply.time;
  return Answer{201, to_json(draft)};
}

Outcome get_draft(Context& context, const Call& call) {
  TRY(const auto v, path_volume(context, call));
  TRY(const auto draft, path_draft(context, call, *v));
  TRY(const auto layer, context.repository().layer(*v, draft.id.value));
  Json body = to_json(draft);
  body["unsealed_edits"] = layer.active_edits;
  return Answer{200, std::move(body)};
}

Outcome drop_draft(Context& context, const Call& call) {
  TRY(const uint64_t id, path_number(call, "draft"));
  TRY_DO(context.repository().submit(call.caller, volume::DropDraft{call.segment("volume"), DraftId(id)}));
  return Answer{204, nullptr};
}

Outcome diff_draft(Context& context, const Call& call) {
  volume::Repository& repository = context.repository();
  TRY(const auto v, path_volume(context, call));
  TRY(const auto draft, path_draft(context, call, *v));
  // Sealing folds the edits into a tree, which can be compared in O(difference); what readers see stays the same.
  volume::Repository::Sealed sealed;
  {
    const auto lock = repository.lock_volume(v->record.id);
    TRY(sealed, repository.seal(*v, draft.id.value));
  }
  return changes_between(context, draft.base_root, sealed.root, call.query);
}

}  // namespace hailstone::api
