#include "cell/transaction.h"

#include <fmt/format.h>

#include "cell/files.h"
#include "cell/query.h"

namespace hailstone::cell {
namespace {

ByteView path_of(const SequencerStands& compare) { return compare.sequencer.path; }
ByteView path_of(const auto& compare) { return compare.path; }
ByteView path_of(const Compare& compare) {
  return std::visit([](const auto& c) { return path_of(c); }, compare);
}
ByteView path_of(const Operation& operation) {
  return std::visit([](const auto& o) { return path_of(o); }, operation);
}

Right right_for(const Operation& operation) {
  return std::holds_alternative<Get>(operation) || std::holds_alternative<List>(operation) ? Right::Read : Right::Write;
}

/// Where in the transaction an error arose.
template <class T>
Result<T> at(Result<T> result, std::string_view what, size_t index) {
  if (!result) return std::unexpected(std::move(result).error().within(fmt::format("{} {}", what, index)));
  return result;
}

Result<void> check(const Permissions& permissions, Right right, ByteView path) {
  TRY_DO(validate_path(path));
  return permissions.check(right, path);
}

/// What it counts towards kReplyBytesMax.
size_t bytes_of(const OperationResult& result) {
  size_t bytes = kResultBytes;
  if (const auto* got = std::get_if<Got>(&result); got && got->file) bytes += got->file->content.size();
  if (const auto* listed = std::get_if<Listed>(&result)) {
    bytes += listed->listing.next.size();
    for (const auto& entry : listed->listing.entries) bytes += kResultBytes + entry.name.size();
  }
  return bytes;
}

struct Running {
  Work& work;
  SessionId session;

  Result<OperationResult> operator()(const Put& o) {
    TRY(const FileStat stat, put_file(work, session, o));
    return Written{stat};
  }
  Result<OperationResult> operator()(const Delete& o) {
    TRY_DO(delete_file(work, o.path));
    return Deleted{1};
  }
  Result<OperationResult> operator()(const DeleteSubtree& o) {
    TRY(const uint64_t files, delete_subtree(work, o));
    return Deleted{files};
  }
  Result<OperationResult> operator()(const Get& o) {
    TRY(auto file, read_file(work.state, o.path));
    return Got{std::move(file)};
  }
  Result<OperationResult> operator()(const List& o) {
    TRY(auto listing, list(work.state, o));
    return Listed{std::move(listing)};
  }
};

}  // namespace

Result<void> check_transaction(const Permissions& permissions, const Txn& txn) {
  for (const size_t count : {txn.compares.size(), txn.then_operations.size(), txn.else_operations.size()})
    if (count > kOperationsMax)
      return fail(Code::Invalid, fmt::format("a transaction of {} in a row, at most {}", count, kOperationsMax));
  for (size_t i = 0; i < txn.compares.size(); ++i)
    TRY_DO(at(check(permissions, Right::Read, path_of(txn.compares[i])), "compare", i));
  // Both branches, so that being allowed does not hang on the state of files.
  for (const auto* branch : {&txn.then_operations, &txn.else_operations})
    for (size_t i = 0; i < branch->size(); ++i)
      TRY_DO(at(check(permissions, right_for((*branch)[i]), path_of((*branch)[i])), "operation", i));
  return {};
}

Result<TxnReply> run_transaction(Work& work, const Permissions& permissions, SessionId session, const Txn& txn) {
  TRY_DO(check_transaction(permissions, txn));
  bool all = true;
  for (size_t i = 0; i < txn.compares.size() && all; ++i) {
    TRY(all, at(holds(work.state, txn.compares[i]), "compare", i));
  }
  TxnReply reply;
  reply.branch = all ? TxnReply::Branch::Then : TxnReply::Branch::Else;
  const auto& operations = all ? txn.then_operations : txn.else_operations;
  size_t bytes = 0;
  for (size_t i = 0; i < operations.size(); ++i) {
    TRY(auto result, at(std::visit(Running{work, session}, operations[i]), "operation", i));
    // At once, or a short command could make this member hold a hundred large files.
    if (bytes += bytes_of(result); bytes > kReplyBytesMax)
      return fail(Code::Exhausted, fmt::format("operation {}: a reply of {} bytes, at most {}: ask for less at once", i,
                                               bytes, kReplyBytesMax));
    reply.results.push_back(std::move(result));
  }
  return reply;
}

}  // namespace hailstone::cell
