#include "cli/cell_context.h"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <iostream>
#include <sstream>

#include "base/bytes.h"

namespace hailstone::cli {
namespace {

template <class T>
bool parse_number(std::string_view text, T& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

std::string kind_name(cell::Event::Kind kind) {
  switch (kind) {
    case cell::Event::Kind::Created: return "created";
    case cell::Event::Kind::Changed: return "changed";
    case cell::Event::Kind::Deleted: return "deleted";
    case cell::Event::Kind::LockAcquired: return "lock_acquired";
    case cell::Event::Kind::LockReleased: return "lock_released";
    case cell::Event::Kind::LockLost: return "lock_lost";
    case cell::Event::Kind::Settings: return "settings";
    case cell::Event::Kind::Rules: return "rules";
  }
  return "unknown";
}

bool is_text(ByteView bytes) {
  try {
    static_cast<void>(Json(bytes).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// ---- transactions ----

std::unexpected<Error> wrong(const std::string& place, const std::string& what) {
  return fail(Code::Invalid, fmt::format("transaction: {}: {}", place, what));
}

Result<Bytes> text_at(const Json& object, const std::string& name, const std::string& place) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_string()) return wrong(place, fmt::format("'{}' must be a string", name));
  return found->get<std::string>();
}

Result<uint64_t> number_at(const Json& object, const std::string& name, const std::string& place) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_number_unsigned())
    return wrong(place, fmt::format("'{}' must be a number that is not negative", name));
  return found->get<uint64_t>();
}

Result<Bytes> content_at(const Json& object, const std::string& place) {
  if (object.contains("content_base64")) {
    TRY(const Bytes text, text_at(object, "content_base64", place));
    Bytes out;
    if (!from_base64(text, out)) return wrong(place, "'content_base64' is not base64");
    return out;
  }
  return text_at(object, "content", place);
}

// {"exists": PATH}, {"absent": PATH}, {"instance": PATH, "is": N}, {"generation": PATH, "is": N}, {"sha256": PATH,
// "is": HEX}, {"lock": PATH, "held_by": SESSION}, {"sequencer": TEXT}
Result<cell::Compare> parse_compare(const Json& json, const std::string& place) {
  if (!json.is_object()) return wrong(place, "must be an object");
  if (json.contains("exists")) {
    TRY(Bytes path, text_at(json, "exists", place));
    return cell::FileExists{std::move(path)};
  }
  if (json.contains("absent")) {
    TRY(Bytes path, text_at(json, "absent", place));
    return cell::FileAbsent{std::move(path)};
  }
  if (json.contains("instance")) {
    TRY(Bytes path, text_at(json, "instance", place));
    TRY(const uint64_t is, number_at(json, "is", place));
    return cell::InstanceIs{std::move(path), cell::Instance(is)};
  }
  if (json.contains("generation")) {
    TRY(Bytes path, text_at(json, "generation", place));
    TRY(const uint64_t is, number_at(json, "is", place));
    return cell::GenerationIs{std::move(path), is};
  }
  if (json.contains("sha256")) {
    TRY(Bytes path, text_at(json, "sha256", place));
    TRY(const Bytes is, text_at(json, "is", place));
    const auto hash = Hash256::parse_hex(is);
    if (!hash) return wrong(place, "'is' must be 64 hex digits");
    return cell::ContentIs{std::move(path), *hash};
  }
  if (json.contains("lock")) {
    TRY(Bytes path, text_at(json, "lock", place));
    TRY(const uint64_t session, number_at(json, "held_by", place));
    return cell::LockHeldBy{std::move(path), cell::SessionId(session)};
  }
  if (json.contains("sequencer")) {
    TRY(const Bytes text, text_at(json, "sequencer", place));
    TRY(cell::Sequencer sequencer, parse_sequencer(text));
    return cell::SequencerStands{std::move(sequencer)};
  }
  return wrong(place, "knows exists, absent, instance, generation, sha256, lock and sequencer");
}

// {"put": PATH, "content": TEXT [, "mode": write|create|replace]}, {"delete": PATH}, {"delete_subtree": PATH, "most":
// N},
// {"get": PATH}, {"list": PATH}
Result<cell::Operation> parse_operation(const Json& json, const std::string& place) {
  if (!json.is_object()) return wrong(place, "must be an object");
  if (json.contains("put")) {
    cell::Put put;
    TRY(put.path, text_at(json, "put", place));
    TRY(put.content, content_at(json, place));
    if (json.contains("mode")) {
      TRY(const Bytes mode, text_at(json, "mode", place));
      if (mode == "create")
        put.mode = cell::Put::Mode::Create;
      else if (mode == "replace")
        put.mode = cell::Put::Mode::Replace;
      else if (mode != "write")
        return wrong(place, "'mode' is write, create or replace");
    }
    return put;
  }
  if (json.contains("delete")) {
    TRY(Bytes path, text_at(json, "delete", place));
    return cell::Delete{std::move(path)};
  }
  if (json.contains("delete_subtree")) {
    TRY(Bytes path, text_at(json, "delete_subtree", place));
    TRY(const uint64_t most, number_at(json, "most", place));
    return cell::DeleteSubtree{std::move(path), most};
  }
  if (json.contains("get")) {
    TRY(Bytes path, text_at(json, "get", place));
    return cell::Get{std::move(path)};
  }
  if (json.contains("list")) {
    TRY(Bytes path, text_at(json, "list", place));
    return cell::List{.path = std::move(path)};
  }
  return wrong(place, "knows put, delete, delete_subtree, get and list");
}

template <class T, class Parse>
Result<void> parse_all(const Json& json, const char* name, std::vector<T>& out, Parse parse) {
  const auto found = json.find(name);
  if (found == json.end()) return {};
  if (!found->is_array()) return wrong(name, "must be an array");
  for (size_t i = 0; i < found->size(); ++i) {
    TRY(auto parsed, parse((*found)[i], fmt::format("{}[{}]", name, i)));
    out.push_back(std::move(parsed));
  }
  return {};
}

Json json_of_listing(const cell::Listing& listing) {
  Json entries = Json::array();
  for (const auto& entry : listing.entries) {
    Json row{{"name", entry.name}};
    if (const auto* stat = std::get_if<cell::FileStat>(&entry.node))
      row["file"] = json_of(*stat);
    else
      row["directory"] = {{"children", std::get<cell::DirectoryStat>(entry.node).children}};
    entries.push_back(std::move(row));
  }
  return entries;
}

Json json_of_result(const cell::OperationResult& result) {
  if (const auto* written = std::get_if<cell::Written>(&result)) return {{"written", json_of(written->stat)}};
  if (const auto* deleted = std::get_if<cell::Deleted>(&result)) return {{"deleted", deleted->files}};
  if (const auto* got = std::get_if<cell::Got>(&result)) {
    if (!got->file) return {{"file", nullptr}};
    Json file = json_of(got->file->stat);
    add_content(file, got->file->content);
    return {{"file", std::move(file)}};
  }
  return {{"entries", json_of_listing(std::get<cell::Listed>(result).listing)}};
}

}  // namespace

Result<std::unique_ptr<client::BlockingClient>> connect_cell(const Context& context, const CellOptions& options,
                                                             Session session,
                                                             client::BlockingClient::SessionListener listener) {
  const auto given = [&](const std::string& option, const char* variable) {
    return option.empty() ? context.variable(variable) : option;
  };
  std::string address = given(options.address, "HAILSTONE_CELL");
  if (address.empty()) address = kDefaultCell;
  client::Options wanted;
  TRY(wanted.cell, net::CellAddress::parse(address));
  net::TlsFiles files{.authority = given(options.ca, "HAILSTONE_CELL_CA"),
                      .certificate = given(options.certificate, "HAILSTONE_CELL_CERT"),
                      .key = given(options.key, "HAILSTONE_CELL_KEY")};
  if (!files.authority.empty() || !files.certificate.empty() || !files.key.empty()) {
    if (files.authority.empty() || files.certificate.empty() || files.key.empty())
      return fail(Code::Invalid, "--ca, --cert and --cert-key go together");
    wanted.tls = std::move(files);
  }
  if (options.plain_anywhere) wanted.plain = net::StreamOptions::Plain::Anywhere;
  TRY(auto client, client::BlockingClient::make(std::move(wanted), std::move(listener)));
  if (session == Session::Open) {
    if (const auto opened = client->open(options.within()); !opened)
      return std::unexpected(error_of(opened.error()).within("cell " + address));
  }
  return client;
}

Error error_of(const client::CallError& error) {
  Error out = error.error;
  if (error.verdict == cell::client::Verdict::Unknown) {
    out.code = Code::Timeout;
    out.message += " (it may have been done, or be done yet)";
  }
  return out;
}

Result<Json> manage_cell(client::BlockingClient& client, const CellOptions& options, const Json& request) {
  TRY(const Bytes response, result_of(client.manage(line_of(request), options.within())));
  Json json = Json::parse(response, nullptr, false);
  if (json.is_discarded()) return fail(Code::Unsupported, "the member's answer is not JSON: is it of another version?");
  return json;
}

Json json_of(const cell::FileStat& stat) {
  Json out{{"instance", stat.instance.value},
           {"generation", stat.generation},
           {"created", stat.created.value},
           {"changed", stat.changed.value},
           {"bytes", stat.bytes}};
  if (stat.lock_generation) out["lock_generation"] = stat.lock_generation.value;
  if (stat.owner) out["owner"] = stat.owner.value;
  return out;
}

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void add_content(Json& json, ByteView content) {
  if (is_text(content))
    json["content"] = content;
  else
    json["content_base64"] = to_base64(content);
}

Json json_of(const cell::EventBatch::Item& item) {
  const cell::Event& event = item.event;
  Json out{{"revision", item.revision.value}, {"event", kind_name(event.kind)}, {"path", event.path}};
  if (event.instance) {
    out["instance"] = event.instance.value;
    out["generation"] = event.generation;
  }
  if (event.session) {
    out["session"] = event.session.value;
    out["lock_generation"] = event.lock_generation.value;
    out["mode"] = event.mode == cell::LockMode::Exclusive ? "exclusive" : "shared";
  }
  return out;
}

std::string text_of(const cell::Sequencer& sequencer) {
  return fmt::format("{}:{}:{}", sequencer.mode == cell::LockMode::Exclusive ? "exclusive" : "shared",
                     sequencer.generation.value, sequencer.path);
}

Json json_of(const cell::Sequencer& sequencer) {
  return {{"sequencer", text_of(sequencer)}, {"path", sequencer.path}, {"generation", sequencer.generation.value}};
}

Result<cell::Sequencer> parse_sequencer(const std::string& text) {
  cell::Sequencer out;
  const size_t first = text.find(':'), second = first == text.npos ? text.npos : text.find(':', first + 1);
  uint64_t generation = 0;
  if (second == text.npos || !parse_number(std::string_view(text).substr(first + 1, second - first - 1), generation))
    return fail(Code::Invalid, fmt::format("sequencer '{}': write MODE:GENERATION:PATH", printable(text)));
  const std::string mode = text.substr(0, first);
  if (mode != "exclusive" && mode != "shared")
    return fail(Code::Invalid, fmt::format("sequencer '{}': its mode is exclusive or shared", printable(text)));
  out.mode = mode == "exclusive" ? cell::LockMode::Exclusive : cell::LockMode::Shared;
  out.generation = cell::LockGeneration(generation);
  out.path = text.substr(second + 1);
  return out;
}

Result<cell::Txn> parse_txn(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object())
    return fail(Code::Invalid, "a transaction is a JSON object with \"if\", \"then\" and \"else\"");
  for (const auto& [name, value] : json.items())
    if (name != "if" && name != "then" && name != "else") return wrong(name, "there are only if, then and else");
  cell::Txn txn;
  TRY_DO(parse_all(json, "if", txn.compares, parse_compare));
  TRY_DO(parse_all(json, "then", txn.then_operations, parse_operation));
  TRY_DO(parse_all(json, "else", txn.else_operations, parse_operation));
  return txn;
}

Json json_of(const cell::TxnReply& reply) {
  Json results = Json::array();
  for (const auto& result : reply.results) results.push_back(json_of_result(result));
  return {{"branch", reply.branch == cell::TxnReply::Branch::Then ? "then" : "else"}, {"results", std::move(results)}};
}

Result<Bytes> read_content(const std::string& path) {
  std::ostringstream out;
  if (path == "-") {
    out << std::cin.rdbuf();
    return out.str();
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return fail(Code::NotFound, fmt::format("{}: cannot be read", path));
  out << file.rdbuf();
  return out.str();
}

}  // namespace hailstone::cli
