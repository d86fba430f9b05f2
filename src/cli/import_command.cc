// import DIR TARGET[/PREFIX]
#include <fmt/format.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "cli/context.h"
#include "cli/exit_codes.h"
#include "cli/location.h"
#include "cli/published.h"
#include "cli/upload_pipeline.h"
#include "cli/wire_reader.h"
#include "mirror/import_state.h"
#include "mirror/pack.h"
#include "mirror/plan.h"

namespace hailstone::cli {
namespace {

struct ImportArguments {
  std::string directory, target, message, state;
  std::vector<std::string> exclude, channels;
  bool remove = false, checksum = false, dry_run = false, draft = false, publish = false;
};

// One import from beginning to end.
class Import {
 public:
  Import(Context& context, const ImportArguments& arguments) : context_(context), arguments_(arguments) {}
  Result<int> run();

 private:
  Result<void> prepare();
  Result<void> open_draft();
  Result<void> choose_state();
  Result<void> make_plan();
  Result<void> send();
  Result<void> save_state(Bytes token);
  Result<void> publish();
  Result<void> drop_draft();
  Result<Bytes> proved_name();
  int report();

  Bytes prefix() const { return at_.path; }
  // Names the server's content: its token, or for the draft we just opened its base release, which never changes.
  Bytes content_name() const { return base_release_ ? fmt::format("release:{}", *base_release_) : token_; }
  std::string state_target() const {
    const std::string what = arguments_.draft ? at_.volume + "@(new draft)" : at_.target();
    return fmt::format("{} {}/{}", context_.url(), what, at_.path);
  }

  Context& context_;
  const ImportArguments& arguments_;
  Location at_;
  std::string target_;  // where to write: at_, or the draft that was opened
  Api* api_ = nullptr;
  std::unique_ptr<disk::Disk> disk_ = disk::make_real_disk();
  std::string source_, state_path_;
  mirror::ScanOptions scan_options_;
  mirror::Scan scan_;
  std::optional<mirror::ImportState> state_;
  std::vector<mirror::KeyEntry> manifest_;
  bool have_manifest_ = false;
  bool token_proved_ = false;  // content_name() is that of the content the plan was made against
  Bytes token_;
  std::optional<uint64_t> base_release_;
  std::optional<uint64_t> draft_;
  mirror::Plan plan_;
  std::vector<mirror::StepResult> results_;
  UploadTotals totals_;
  Json published_;
};

Result<void> Import::prepare() {
  TRY(at_, parse_location(arguments_.target));
  if (!at_.path.empty() && !at_.path.ends_with('/')) at_.path += '/';
  if (arguments_.draft && !at_.ref.empty())
    return fail(Code::Invalid, fmt::format("--draft opens a new draft of a volume: name '{}' alone", at_.volume));
  if (arguments_.publish && !arguments_.draft && !at_.ref.empty() && !at_.draft())
    return fail(Code::Invalid,
                fmt::format("'{}' can't be published: import into the head, a draft, or with --draft", at_.target()));
  TRY(scan_options_.excludes, mirror::Excludes::parse(arguments_.exclude));
  scan_options_.prefix = at_.path;
  std::error_code error;
  source_ = std::filesystem::canonical(arguments_.directory, error).string();
  if (error) return fail(Code::NotFound, fmt::format("{}: {}", arguments_.directory, error.message()));
  target_ = at_.target();
  TRY(api_, context_.api());
  return {};
}

Result<void> Import::open_draft() {
  if (!arguments_.draft) return {};
  if (arguments_.dry_run) {
    // Compared with what a draft would start from.
    TRY(const Json volume, api_->get(volume_path(at_.volume)));
    const Json channels = volume.value("channels", Json::object());
    base_release_ = channels.value("current", uint64_t{0});
    if (*base_release_ != 0) target_ = fmt::format("{}@{}", at_.volume, *base_release_);
    return {};
  }
  TRY(const Json draft,
      api_->send("POST", volume_path(at_.volume, "drafts"), {{"base", nullptr}, {"message", arguments_.message}}));
  draft_ = draft.value("draft", uint64_t{0});
  target_ = fmt::format("{}@draft-{}", at_.volume, *draft_);
  base_release_ = draft.contains("base") && draft["base"].is_number_unsigned() ? draft["base"].get<uint64_t>() : 0;
  if (!context_.json) context_.note(fmt::format("draft {}", target_));
  return {};
}

// The token is asked for before the tree is scanned: whatever happens at the server afterwards makes it differ later.
Result<void> Import::choose_state() {
  state_path_ = arguments_.state.empty() ? mirror::default_state_path(source_, state_target()) : arguments_.state;
  TRY(const Json answer, api_->get(target_path(target_, "token")));
  token_ = answer.value("token", "");
  std::string why;
  state_ = mirror::load_state(*disk_, state_path_, source_, state_target(), why);
  if (state_ && (state_->token != content_name() || arguments_.checksum)) state_.reset();
  return {};
}

Result<void> Import::make_plan() {
  if (!state_) {
    TRY(manifest_, fetch_manifest(*api_, target_, prefix()));
    have_manifest_ = true;
    TRY(const Json after, api_->get(target_path(target_, "token")));
    token_proved_ = after.value("token", "") == token_;
  } else {
    token_proved_ = true;
  }
  TRY(scan_, mirror::scan(source_, scan_options_));
  TRY(const auto probe, mirror::TreeProbe::open(source_, prefix()));
  plan_ = mirror::make_plan({scan_, prefix(), scan_options_.excludes,
                             arguments_.remove ? mirror::Extraneous::Delete : mirror::Extraneous::Keep,
                             arguments_.checksum ? mirror::Compare::Checksum : mirror::Compare::Times,
                             state_ ? &*state_ : nullptr, have_manifest_ ? &manifest_ : nullptr},
                            *probe);
  for (const auto& warnings : {scan_.warnings, scan_.unreadable})
    for (const std::string& text : warnings.texts()) context_.note("warning: " + text);
  for (const std::string& text : plan_.warnings) context_.note("warning: " + text);
  return {};
}

Result<void> Import::send() {
  // Asked from the reading thread, which needs a connection of its own.
  std::unique_ptr<Api> lookups;
  const auto lookup = [&](const Bytes& key) -> Result<std::optional<volume::Entry>> {
    if (!lookups) {
      TRY(lookups, context_.new_api());
    }
    return fetch_entry(*lookups, target_, key);
  };
  TRY(const auto packer, mirror::Packer::open(source_, scan_, plan_, prefix(), lookup));
  Progress progress(context_.err(), context_.progress(), "sending", plan_.put_bytes);
  const Bytes proved = token_proved_ ? token_ : Bytes();
  auto totals = upload_all(*api_, target_, *packer, proved, [&](uint64_t bytes) { progress.update(bytes); });
  progress.finish();
  results_ = std::move(packer->results());
  TRY(totals_, std::move(totals));
  return {};
}

// Saved only under a name that is proved to be that of exactly what we know.
Result<void> Import::save_state(Bytes token) {
  mirror::ImportState state{source_, state_target(), std::move(token), std::move(plan_.unchanged)};
  for (size_t i = 0; i < results_.size(); ++i) {
    if (results_[i].record) {
      state.records.push_back(std::move(*results_[i].record));
    } else if (plan_.steps[i].known) {
      // The server still has what it had: whatever is in the tree must be looked at again.
      state.records.push_back({plan_.steps[i].key, 0, 0, 0, 0, *plan_.steps[i].known});
    }
  }
  std::sort(state.records.begin(), state.records.end(), [](const auto& a, const auto& b) { return a.key < b.key; });
  return mirror::save_state(*disk_, state_path_, state);
}

Result<void> Import::publish() {
  Json item{{"volume", at_.volume}, {"message", arguments_.message}};
  const auto draft = draft_ ? draft_ : at_.draft();
  item["draft"] = draft ? Json(*draft) : Json(nullptr);
  Json body{{"items", Json::array({item})}};
  if (!arguments_.channels.empty()) body["channels"] = arguments_.channels;
  TRY(published_, api_->send("POST", "/api/v1/publish", body));
  return {};
}

int Import::report() {
  uint64_t sent = 0, unchanged = plan_.unchanged_items, vanished = 0;
  Json failed = Json::array();
  for (size_t i = 0; i < results_.size(); ++i) {
    using Outcome = mirror::StepResult::Outcome;
    const bool removal = plan_.steps[i].action == mirror::Action::Delete;
    sent += results_[i].outcome == Outcome::Sent && !removal;
    unchanged += results_[i].outcome == Outcome::Unchanged;
    vanished += results_[i].outcome == Outcome::Vanished;
    if (results_[i].outcome == Outcome::Failed) failed.push_back(results_[i].message);
  }
  const bool whole = failed.empty() && scan_.unreadable.total() == 0;
  if (context_.json) {
    Json out{{"sent", sent},
             {"unchanged", unchanged},
             {"deleted", plan_.deletes},
             {"vanished", vanished},
             {"failed", failed},
             {"stream_bytes", totals_.stream_bytes},
             {"new_chunks", totals_.new_chunks},
             {"target", target_},
             {"dry_run", arguments_.dry_run}};
    if (!published_.is_null()) out["published"] = published_;
    context_.out() << out.dump(-1, ' ', false, Json::error_handler_t::replace) << '\n';
  } else {
    for (const Json& message : failed) context_.note("failed: " + message.get<std::string>());
    context_.out() << fmt::format("{}: {} sent ({}), {} deleted, {} unchanged{}\n", target_, sent,
                                  format_size(totals_.stream_bytes), plan_.deletes, unchanged,
                                  failed.empty() ? "" : fmt::format(", {} FAILED", failed.size()));
    if (!published_.is_null()) print_published(context_, published_);
  }
  return whole ? kExitOk : kExitFailure;
}

Result<void> Import::drop_draft() {
  TRY_DO(api_->send("DELETE", volume_path(at_.volume, fmt::format("drafts/{}", *draft_)), nullptr));
  if (!context_.json) context_.note(fmt::format("{} is dropped: nothing has changed", target_));
  return {};
}

// What names the server's content now, if that is proved to be exactly what we know; else nothing.
Result<Bytes> Import::proved_name() {
  if (!arguments_.draft) {
    if (totals_.batches == 0) return token_proved_ ? token_ : Bytes();
    return totals_.exclusive ? totals_.token : Bytes();
  }
  // A draft's content lives on as the release it became, if nobody else's changes were merged into that.
  const Json releases = published_.is_object() ? published_.value("releases", Json::array()) : Json::array();
  if (releases.size() != 1) return Bytes();
  const auto number = releases[0].value("release", uint64_t{0});
  TRY(const Json release, api_->get(volume_path(at_.volume, fmt::format("releases/{}", number))));
  const auto parent = release.find("parent");
  const uint64_t parent_number = parent != release.end() && parent->is_number_unsigned() ? parent->get<uint64_t>() : 0;
  return parent_number == base_release_ ? fmt::format("release:{}", number) : Bytes();
}

Result<int> Import::run() {
  TRY_DO(prepare());
  TRY_DO(open_draft());
  TRY_DO(choose_state());
  TRY_DO(make_plan());
  if (arguments_.dry_run) {
    if (!context_.json) {
      context_.out() << mirror::to_text(plan_, scan_);
      return kExitOk;
    }
    Json steps = Json::array();
    for (const auto& step : plan_.steps)
      steps.push_back({{"action", step.action == mirror::Action::Put    ? "put"
                                  : step.action == mirror::Action::Meta ? "meta"
                                                                        : "delete"},
                       {"key", keys_json({step.key})[0]},
                       {"reason", step.reason}});
    context_.out() << Json{{"dry_run", true},
                           {"steps", steps},
                           {"puts", plan_.puts},
                           {"put_bytes", plan_.put_bytes},
                           {"metas", plan_.metas},
                           {"deletes", plan_.deletes},
                           {"unchanged", plan_.unchanged_items}}
                          .dump()
                   << '\n';
    return kExitOk;
  }
  TRY_DO(send());
  const bool failures = std::any_of(results_.begin(), results_.end(),
                                    [](const auto& r) { return r.outcome == mirror::StepResult::Outcome::Failed; }) ||
                        scan_.unreadable.total() > 0;
  // A draft that changes nothing would only become a release equal to its base.
  const bool empty_draft = arguments_.draft && totals_.batches == 0 && !failures;
  if (empty_draft) TRY_DO(drop_draft());
  if (arguments_.publish && !failures && !empty_draft) TRY_DO(publish());
  if (arguments_.publish && failures)
    context_.note(
        fmt::format("not published, as not everything could be read: 'hailstone publish {}' does it anyway", target_));
  TRY(Bytes token, empty_draft ? Result<Bytes>(content_name()) : proved_name());
  if (!token.empty()) {
    if (auto saved = save_state(std::move(token)); !saved)
      context_.note(fmt::format("warning: the next import will compare everything: {}", saved.error().message));
  }
  return report();
}

// A descriptor a level of directories: raise the soft limit to what is allowed anyway.
void allow_deep_trees() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

void add_import_command(CLI::App& app, Commands& commands) {
  auto* command = app.add_subcommand("import", "Send a directory tree: only what changed since the last time");
  auto arguments = std::make_shared<ImportArguments>();
  command->add_option("DIR", arguments->directory)->required()->check(CLI::ExistingDirectory);
  command->add_option("TARGET[/PREFIX]", arguments->target, "VOLUME or VOLUME@draft-N, and where in it")
      ->check(checked<parse_location>)
      ->required();
  command->add_flag("--delete", arguments->remove,
                    "Also delete what the directory lacks (under the prefix; not what is excluded)");
  command->add_flag("--checksum", arguments->checksum, "Compare contents, not sizes and times");
  command->add_flag("-n,--dry-run", arguments->dry_run, "Only say what would be done");
  command
      ->add_option("--exclude", arguments->exclude, "Leave out: '*.o', '/build', 'cache/', 'a/**/b'; may be repeated")
      ->type_name("GLOB")
      ->allow_extra_args(false);
  command->add_flag("--draft", arguments->draft, "Open a new draft and import into it");
  command->add_flag("--publish", arguments->publish, "Publish when all was sent");
  command->add_option("--channel", arguments->channels, "Channel to flip with --publish, may be repeated [current]")
      ->type_name("NAME")
      ->allow_extra_args(false);
  command->add_option("-m,--message", arguments->message, "For people: of the draft and the release");
  command->add_option("--state", arguments->state, "File to remember what was sent [under ~/.cache/hailstone]")
      ->type_name("FILE");
  Context& context = commands.context;
  commands.choose_when_parsed(command, [&context, arguments] {
    allow_deep_trees();
    return Import(context, *arguments).run();
  });
}

}  // namespace hailstone::cli
