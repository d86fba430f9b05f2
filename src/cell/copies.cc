#include "cell/copies.h"

#include <algorithm>

namespace hailstone::cell {
namespace {

constexpr size_t kNamedBytesMax = 1 << 20;  // of one Invalidate; a longer one names everything

}  // namespace

void BusyPaths::count_down(Counts& counts, const Bytes& path) {
  const auto at = counts.find(path);
  if (--at->second == 0) counts.erase(at);
}

void BusyPaths::add(const Touched& touched) {
  for (const Bytes& path : touched.paths) ++paths_[path];
  for (const Bytes& prefix : touched.prefixes) ++prefixes_[prefix];
}

void BusyPaths::remove(const Touched& touched) {
  for (const Bytes& path : touched.paths) count_down(paths_, path);
  for (const Bytes& prefix : touched.prefixes) count_down(prefixes_, prefix);
}

bool BusyPaths::covers(ByteView path) const {
  if (paths_.contains(path)) return true;
  if (prefixes_.empty()) return false;
  while (path != "/") {
    path = parent_of(path);
    if (prefixes_.contains(path)) return true;
  }
  return false;
}

bool Copies::add(SessionId session, ByteView path) {
  Holder& holder = holders_[session];
  const auto at = files_.find(path_key(path));
  if (at != files_.end() && holder.files.contains(&*at))
    return std::ranges::find(at->second, session, &Copy::session)->doomed == 0;
  if (size_ >= copies_max_ || holder.files.size() >= copies_per_session_max_) return false;
  File& file = at != files_.end() ? *at : *files_.emplace(path_key(path), std::vector<Copy>()).first;
  file.second.push_back({session});
  holder.files.insert(&file);
  ++size_;
  return true;
}

void Copies::doom(File& file, const Bytes* prefix, std::map<SessionId, Asking>& asking) {
  for (Copy& copy : file.second) {
    Asking& ask = asking[copy.session];
    if (copy.doomed == 0) {
      copy.doomed = holders_.at(copy.session).sequence + 1;
      ask.files.push_back(&file);
      if (!prefix)
        ask.fresh.paths.push_back(path_of_key(file.first));
      else if (ask.fresh.prefixes.empty() || ask.fresh.prefixes.back() != *prefix)
        ask.fresh.prefixes.push_back(*prefix);
    }
    ask.sequence = std::max(ask.sequence, copy.doomed);
  }
}

Copies::Asked Copies::ask_to_drop(const Touched& touched, Tag command) {
  if (files_.empty()) return {};
  std::map<SessionId, Asking> asking;
  for (const Bytes& prefix : touched.prefixes) {
    const auto [begin, end] = keys_beneath(prefix);
    for (auto at = files_.lower_bound(begin); at != files_.end() && at->first < end; ++at) doom(*at, &prefix, asking);
  }
  for (const Bytes& path : touched.paths)
    if (const auto at = files_.find(path_key(path)); at != files_.end()) doom(*at, nullptr, asking);
  Asked out;
  out.waits = asking.size();
  for (auto& [session, ask] : asking) {
    Holder& holder = holders_.at(session);
    if (!ask.files.empty()) {
      size_t bytes = 0;
      for (const auto* names : {&ask.fresh.paths, &ask.fresh.prefixes})
        for (const Bytes& name : *names) bytes += name.size();
      if (bytes > kNamedBytesMax) ask.fresh = {.paths = {}, .prefixes = {"/"}};
      ask.fresh.session = session;
      ask.fresh.sequence = ++holder.sequence;
      out.fresh.push_back(ask.fresh);
      holder.told.push_back({std::move(ask.fresh), std::move(ask.files), {}});
    }
    // Sequences of what was told are without gaps.
    holder.told[ask.sequence - holder.told.front().message.sequence].waiting.push_back(command);
  }
  return out;
}

std::vector<wire::Invalidate> Copies::unanswered(SessionId session) const {
  std::vector<wire::Invalidate> out;
  if (const auto at = holders_.find(session); at != holders_.end())
    for (const Told& told : at->second.told) out.push_back(told.message);
  return out;
}

bool Copies::answered_all(SessionId session) const {
  const auto at = holders_.find(session);
  return at == holders_.end() || at->second.told.empty();
}

uint64_t Copies::sequence(SessionId session) const {
  const auto at = holders_.find(session);
  return at == holders_.end() ? 0 : at->second.sequence;
}

void Copies::remove(Holder& holder, SessionId session, File* file) {
  if (holder.files.erase(file) == 0) return;
  std::erase_if(file->second, [&](const Copy& copy) { return copy.session == session; });
  if (file->second.empty()) files_.erase(file->first);
  --size_;
}

std::vector<Copies::Tag> Copies::dropped(SessionId session, uint64_t sequence) {
  std::vector<Tag> released;
  const auto at = holders_.find(session);
  if (at == holders_.end()) return released;
  Holder& holder = at->second;
  while (!holder.told.empty() && holder.told.front().message.sequence <= sequence) {
    Told told = std::move(holder.told.front());
    holder.told.pop_front();
    for (File* file : told.files) remove(holder, session, file);
    released.insert(released.end(), told.waiting.begin(), told.waiting.end());
  }
  return released;
}

std::vector<Copies::Tag> Copies::clear(Holder& holder, SessionId session) {
  std::vector<Tag> released;
  for (const Told& told : holder.told) released.insert(released.end(), told.waiting.begin(), told.waiting.end());
  holder.told.clear();
  while (!holder.files.empty()) remove(holder, session, *holder.files.begin());
  return released;
}

std::vector<Copies::Tag> Copies::forget(SessionId session) {
  const auto at = holders_.find(session);
  return at == holders_.end() ? std::vector<Tag>() : clear(at->second, session);
}

std::vector<Copies::Tag> Copies::end(SessionId session) {
  auto released = forget(session);
  holders_.erase(session);
  return released;
}

bool Copies::consistent() const {
  size_t of_files = 0, of_holders = 0;
  for (const auto& [key, copies] : files_) {
    if (copies.empty()) return false;
    of_files += copies.size();
    for (const Copy& copy : copies) {
      const auto holder = holders_.find(copy.session);
      if (holder == holders_.end() || copy.doomed > holder->second.sequence) return false;
      if (std::ranges::none_of(holder->second.files, [&](const File* file) { return file->first == key; }))
        return false;
    }
  }
  for (const auto& [session, holder] : holders_) {
    of_holders += holder.files.size();
    for (size_t i = 0; i < holder.told.size(); ++i)
      if (holder.told[i].message.sequence != holder.sequence - holder.told.size() + 1 + i) return false;
  }
  return of_files == size_ && of_holders == size_;
}

}  // namespace hailstone::cell
