// What the cell's commands share: options, the connection, how things of a cell look as JSON and as text.
#pragma once

#include <memory>
#include <string>

#include "cli/context.h"
#include "client/blocking_client.h"

namespace hailstone::cli {

/// Of all `hailstone cell` commands.
struct CellOptions {
  std::string address;  // empty: HAILSTONE_CELL, else kDefaultCell
  std::string ca, certificate, key;
  double timeout_s = 10;
  bool plain_anywhere = false;

  client::Within within() const { return {static_cast<int64_t>(timeout_s * 1000)}; }
};
inline constexpr const char* kDefaultCell = "127.0.0.1:8082";

enum class Session : uint8_t { None, Open };
/// Invalid: options that won't do; Unavailable: no member answers.
Result<std::unique_ptr<client::BlockingClient>> connect_cell(const Context& context, const CellOptions& options,
                                                             Session session,
                                                             client::BlockingClient::SessionListener listener = {});

/// An error that says what became of the call.
Error error_of(const client::CallError& error);
template <class T>
Result<T> result_of(client::Called<T> called) {
  if (!called) return std::unexpected(error_of(called.error()));
  if constexpr (std::is_void_v<T>)
    return {};
  else
    return *std::move(called);
}

/// {"op": ..} to the member, and its answer.
Result<Json> manage_cell(client::BlockingClient& client, const CellOptions& options, const Json& request);

Json json_of(const cell::FileStat& stat);
/// As text. Paths and names are any bytes: those that are no UTF-8 are replaced.
std::string line_of(const Json& json);
/// "content" where it is UTF-8, else "content_base64".
void add_content(Json& json, ByteView content);
Json json_of(const cell::EventBatch::Item& item);
Json json_of(const cell::Sequencer& sequencer);
/// "exclusive:17:/locks/nightly"
std::string text_of(const cell::Sequencer& sequencer);
Result<cell::Sequencer> parse_sequencer(const std::string& text);

/// Of a transaction: {"if": [..], "then": [..], "else": [..]}, as docs/reference/cell.md has it. Invalid, naming the
/// place.
Result<cell::Txn> parse_txn(const std::string& text);
Json json_of(const cell::TxnReply& reply);

/// A file's content, or standard input for "-".
Result<Bytes> read_content(const std::string& path);

void add_cell_file_commands(CLI::App& cell, Commands& commands, const std::shared_ptr<CellOptions>& options);
void add_cell_lock_commands(CLI::App& cell, Commands& commands, const std::shared_ptr<CellOptions>& options);
void add_cell_admin_commands(CLI::App& cell, Commands& commands, const std::shared_ptr<CellOptions>& options);

}  // namespace hailstone::cli
