#!/usr/bin/env python3
"""Plants one bug after another in the consensus core and in its log, and runs the simulator on each: a bug that no seed finds fails.

    python3 sim/mutants.py [--build build/release] [--only NAME] [--jobs 2]

Each mutant replaces a piece of text in one source file (of src/paxos, if no folder is named); that file is compiled and linked before the clean library,
so that nothing else is built twice. A piece that is not there (any more) fails too: the table below must follow the code.
"""
import argparse
import concurrent.futures
import json
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# name: (file, piece, replacement, what it is)
MUTANTS = {
    "promise-not-persisted": ("acceptor.cc", "    following_ = {};\n    write_hard();\n    promised_write_ = write().id;\n    set_role", "    following_ = {};\n    set_role", "a promise is forgotten by a crash"),
    "promise-before-persist": ("acceptor.cc", "if (durable(promised_write_)) send(from, std::move(promise));\n  else send_after_write(from, std::move(promise));", "send(from, std::move(promise));", "a promise leaves before it is durable"),
    "ack-before-persist": ("acceptor.cc", "cell->record.ballot == following_ && durable(cell->write);)", "cell->record.ballot == following_;)", "records are acknowledged before they are durable"),
    "ballot-not-persisted": ("election.cc", "  write_hard();\n  promised_write_ = write().id;\n  const Time retry", "  promised_write_ = persisted_;\n  const Time retry", "a candidate's ballot is not durable: another life uses it again"),
    "accept-ignores-ballot": ("acceptor.cc", "if (message.ballot < promised_) return send(from, Refuse{.promised = promised_});\n  if (from", "if (message.ballot < promised_) promised_ = message.ballot;\n  if (from", "a promise is broken by a late leader"),
    "prepare-ignores-ballot": ("acceptor.cc", "  if (message.ballot < promised_ || (again", "  if ((again", "a lower ballot is promised after a higher"),
    "own-vote-before-persist": ("leader.cc", "const Slot own = held_upto(), before", "const Slot own = end_, before", "the leader counts itself before its own disk has it"),
    "keeps-lowest-ballot": ("election.cc", "if (!best || found->second.ballot > best->ballot)", "if (!best || found->second.ballot < best->ballot)", "phase 1 takes the wrong value"),
    "keeps-only-own": ("election.cc", "        if (!best || found->second.ballot > best->ballot) best = &found->second;\n", "        if (found->second.ballot.round == 0) best = &found->second;\n", "phase 1 ignores what others accepted"),
    "keeps-nothing": ("election.cc", "  lead(std::move(kept), std::move(pending));", "  kept.clear();\n  lead(std::move(kept), std::move(pending));", "a new leader starts with its own values"),
    "no-parent-cut": ("election.cc", "if (!best || best->parent != last) return kept;", "if (!best) return kept;", "a record whose parent was dropped is kept"),
    "free-acks": ("acceptor.cc", "  return held_;\n}", "  for (Slot slot = held_.next(); slot <= stored_; slot = slot.next())\n    if (const Window::Cell* cell = window_.find(slot); cell && cell->record.ballot == following_ && durable(cell->write)) held_ = slot;\n  return held_;\n}", "acknowledges over a hole"),
    "commits-below-quorum": ("leader.cc", "acks[config.phase2_quorum() - 1]", "acks[config.phase2_quorum() > 1 ? config.phase2_quorum() - 2 : 0]", "one vote less than a quorum chooses"),
    "elects-below-quorum": ("election.cc", "const auto has = [&](ReplicaId id) { return id == options_.self || candidacy_->promises.contains(id); };", "const auto has = [&](ReplicaId id) { return id == options_.self || !candidacy_->promises.empty(); };", "any promise elects"),
    "counts-learners": ("leader.cc", "    std::sort(acks.begin(), acks.begin() + count, std::greater<>());\n    Slot upto", "    for (const Peer& each : peers_)\n      if (!config.is_voter(each.id) && count < acks.size()) acks[count++] = each.acked;\n    std::sort(acks.begin(), acks.begin() + count, std::greater<>());\n    Slot upto", "a learner's copy counts as a vote"),
    "lease-from-receipt": ("leader.cc", "to->echoed_sent = std::max(to->echoed_sent, sent->sent);", "to->echoed_sent = now_;", "the lease is counted from the answer, not from the question"),
    "lease-without-margin": ("reads.cc", "return grant_ns / 1'000'000 * (1'000'000 - ppm) / (1'000'000 + ppm) * 1'000'000;", "(void)ppm;\n  return grant_ns;", "the lease is as long as the grant"),
    "no-restart-wait": ("core.cc", "no_promise_before_ = boot.no_grants_outstanding || alone ? now : now + options_.grant_ns;", "no_promise_before_ = now;\n  (void)alone;", "a restarted replica forgets whom it granted"),
    "grant-ignored": ("acceptor.cc", "  return now_ < grant_.until && grant_.ballot.who != candidate;", "  return false;", "promises while a grant runs"),
    "grant-too-short": ("acceptor.cc", "grant_.until = std::max(grant_.until, now_ + options_.grant_ns);", "grant_.until = std::max(grant_.until, now_ + options_.grant_ns / 2);", "grants run out before the lease"),
    "lease-survives-handoff": ("leader.cc", "  step_down();\n  others_turn_until_ = now_ + options_.grant_ns;\n", "  return;\n", "a leader reads on after it handed over"),
    "lease-of-too-few": ("reads.cc", "echoed_by(config, config.lease_quorum())", "echoed_by(config, 1)", "the leader's own grant is a lease"),
    "reads-before-own-slot": ("reads.cc", "now < lease_until_ && own_slot_ <= at_.upto;", "now < lease_until_;", "a new leader reads before it knows what was chosen"),
    "reads-unconfirmed": ("reads.cc", "    return found != peers_.end() && found->id == id && found->echoed >= stamp;", "    return found != peers_.end();", "a read-index without asking a quorum"),
    "reads-by-old-stamp": ("reads.cc", ".stamp = stamp_ + 1, .index = at_.upto});\n  } else if (role_ == Role::Follower", ".stamp = stamp_ / 2, .index = at_.upto});\n  } else if (role_ == Role::Follower", "a read is confirmed by an answer to an earlier question"),
    "read-id-reused": ("reads.cc", "  next_read_ = next_read_.next();\n", "", "the answer to an earlier attempt serves a later read"),
    "read-id-of-another-life": ("reads.cc", " || message.life != options_.life) return;", ") return;", "an answer to an earlier life serves a read of this one"),
    "read-index-zero": ("reads.cc", "std::max(each.index, own_slot_)", "Slot(0)", "a read is served before its slot is applied"),
    "slot-reused": ("leader.cc", "  refresh_peers();\n  for (Peer& each : peers_)\n    if (const auto answer", "  if (end_ > at_.upto) end_ = Slot(end_.value - 1);\n  refresh_peers();\n  for (Peer& each : peers_)\n    if (const auto answer", "a new leader proposes in a slot that it has kept"),
    "damage-as-torn-tail": ("core.cc", "blind_(boot.blind)", "blind_(false)", "lost records are taken for records that never were"),
    "blind-heals-at-once": ("acceptor.cc", "if (blind_ && resent_ && at_.upto >= resent_chosen_ && upto >= resent_end_) {", "if (blind_) {", "a blind replica promises before it has what it lost"),
    "epoch-forgotten": ("election.cc", "  ask_for_promises(live());\n  if (!all_quorums(live(), &Config::phase1_quorum, has)) return;\n  std::vector<Record> kept", "  std::vector<Record> kept", "a configuration learned during phase 1 is not asked"),
    "config-counts-early": ("config.cc", "request.next.governs_from = Slot(end_.value + 1 + options_.alpha);", "request.next.governs_from = Slot(end_.value + 2);", "a configuration governs slots that are in flight"),
    "config-of-votes": ("leader.cc", "const Config& config = at_.config_at(at_.upto.next());\n    size_t count", "const Config& config = at_.configs.back();\n    size_t count", "votes are counted by a configuration that does not govern yet"),
    "chosen-by-any-ballot": ("core.cc", "if (!cell->settled && !linked && cell->record.ballot != known_by_) {", "if (false) {", "a record counts as chosen because its slot is"),
    "hint-too-high": ("core.cc", ".chosen = at_.upto, .chosen_digest = at_.digest};", ".chosen = known_chosen_, .chosen_digest = known_digest_};", "what is not here is said to be complete"),
    "promise-hides-one": ("acceptor.cc", "    promise.headers.back().data = nullptr;\n  }", "    promise.headers.back().data = nullptr;\n  }\n  if (promise.headers.size() > 1) promise.headers.pop_back();", "a promise leaves out what was accepted last"),
    "acks-of-any-ballot": ("leader.cc", "if (role_ != Role::Leader || message.ballot != promised_) return;\n  Peer* to = peer(from);", "if (role_ != Role::Leader) return;\n  Peer* to = peer(from);", "acknowledgements of an earlier ballot count"),
    "trims-unsaved": ("core.cc", "const Slot upto = std::min(snapshot_, floor);", "const Slot upto = at_.upto;\n  (void)floor;", "the log is trimmed before a snapshot has it"),
    "outcome-unchecked": ("leader.cc", "pending.digest == chosen.digest ? Outcome::Result::Chosen : Outcome::Result::Dropped", "Outcome::Result::Chosen", "whoever's value is chosen, the proposer is told it was his"),
    "time-falls": ("leader.cc", "  time_us_ = std::max(time_us_, request.time_us);", "  time_us_ = request.time_us;", "the log's time goes back with the leader's clock"),
    "rest-in-flight": ("rest.cc", "  if (role_ == Role::Leader) active();\n  if (resting_) return wake(Asker::Own);", "  if (resting_ && role_ != Role::Leader) return wake(Asker::Own);", "a leader rests while something is in flight"),
    "rest-behind": ("rest.cc", "following_ != promised_ || at_.upto != known_chosen_ || leader_end_ > at_.upto ||", "following_ != promised_ ||", "a follower rests though it is behind"),
    "rest-unsaved": ("rest.cc", "  if (hard_dirty_) write_hard();\n  if (persisted_.next() != next_write_) return;\n  stand_at_", "  stand_at_", "a follower rests before it has made durable what is chosen"),
    "rest-deaf": ("rest.cc", "  if (!is_live_voter(options_.self)) return poke();", "  if (asker == Asker::Own || !is_live_voter(options_.self)) return;", "a follower at rest does not wake for a request"),
    "rest-deaf-leader": ("election.cc", "if (role_ == Role::Leader && (resting_ || rest_offer_)) active(); else if (resting_)", "if (role_ != Role::Leader && resting_)", "a leader at rest does not answer who asks for one"),
    "rest-first-come": ("rest.cc", "  others_turn_until_ = now_ + (options_.grant_ns - options_.heartbeat_ns);\n", "", "who rests elects whoever asks first, though the leader lives"),
    "rest-lease-kept": ("reads.cc", "now < lease_until_ && own_slot_", "(resting_ || now < lease_until_) && own_slot_", "a leader at rest reads under a lease that has run out"),
    "pending-config-ignored": ("election.cc", "  if (!all_quorums(pending, &Config::phase1_quorum, has)) return;\n  lead", "  lead", "a configuration that may be chosen is not asked"),
}

# The same for commands of nodes that do not lead.
FORWARDING = {
    "forward-any-ballot": ("leads && forward.ballot == promised) {", "leads) {", "a leader takes what was meant for an earlier leadership"),
    "forward-no-dedup": ("    if (each < taker.next) continue;", "    if (each + 1 < taker.next) continue;", "what comes twice is taken twice"),
    "forward-no-barrier": ("  if (!ballot || (!flight_.empty() && flight_ballot_ != ballot)) {", "  if (ballot && flight_ballot_ != ballot) requeue(std::exchange(flight_, {}));\n  if (!ballot) {", "given to the next leader before it is known what became of it"),
    "forward-gap-taken": ("    if (each > taker.next || taker.refused) break;", "    if (taker.refused) break;\n    taker.next = each;", "a lost message is overtaken by the next"),
    "forward-life-ignored": ("from->origin == origin(flight_.front().number)", "from->origin.number == flight_.front().number", "a command of another is taken for one's own"),
    "forward-refused-then-taken": ("    if (each > taker.next || taker.refused) break;", "    if (each > taker.next) break;", "what was refused is taken when it comes again"),
    "forward-late-refusal": ("  if (!reply.refused || reply.begin != flight_.front().number) return;", "  if (!reply.refused) return;", "a refusal counts though its sender may have thought again"),
    "forward-taken-kept": ("    return each.others();\n  });", "    return false;\n  });", "a leader proposes what it took in an earlier leadership"),
    "forward-unknown-again": ("    case Unknown: answer(*item, {Code::Timeout, \"another replica took over: it may be done, now or later\"}); return;", "    case Unknown: return;", "what the replica has forgotten is proposed again"),
    "forward-snapshot-again": ("  if (flight_local_) return;\n  for (Item& each : flight_)", "  if (flight_local_) return;\n  return requeue(std::exchange(flight_, {}));\n  for (Item& each : flight_)", "what a snapshot may hold is proposed again"),
    "forward-order": ("        queue_.push_front(std::move(*each));", "        queue_.push_back(std::move(*each));", "what is proposed again comes after what was given later"),
}
MUTANTS.update({name: ("src/replica/proposals.cc", *mutant) for name, mutant in FORWARDING.items()})

# The same for what is below the core: these need real logs to be seen.
STORAGE = {
    "journal-forgets-sync": ("src/replica/journal.cc", "  TRY_DO(log_->sync());\n  durable_", "  durable_", "a sync of the journal is none"),
    "log-forgets-sync": ("src/log/log.cc", "  TRY_DO(sticky(file_->write_at(offset_, batch)));\n  TRY_DO(sticky(file_->sync()));", "  TRY_DO(sticky(file_->write_at(offset_, batch)));", "a batch is acknowledged when it is written"),
    "segment-named-before-durable": ("src/log/log.cc", "    TRY_DO(file_->sync());\n    TRY_DO(disk_.rename(spare_.path(), path_of(number)));", "    TRY_DO(disk_.rename(spare_.path(), path_of(number)));", "a segment has its name before its header is durable"),
    "segment-name-not-synced": ("src/log/log.cc", "    TRY_DO(disk_.sync_directory(options_.directory));\n    TRY(const uint64_t bytes, file_->size());", "    TRY(const uint64_t bytes, file_->size());", "a crash can lose the name of a segment, and all in it"),
    "tail-not-written-again": ("src/log/log.cc", "  TRY_DO(file_->write_at(scan.last_offset, tail));\n  return file_->sync();", "  return file_->sync();", "what the page cache shows after a failed sync is taken for durable"),
    "cuts-at-bad-checksum": ("src/log/segment.cc", "ends(Ending::Damaged, \"all its sectors were written", "ends(Ending::Torn, \"all its sectors were written", "a damaged batch is cut like a torn one"),
    "cuts-before-later-batch": ("src/log/segment.cc", "ends(Ending::Damaged, fmt::format(\"not intact, but", "ends(Ending::Torn, fmt::format(\"not intact, but", "damage in the middle is cut, and all that follows"),
    "damage-without-blindness": ("src/replica/journal.cc", "encode({.group = id, .blind = true}, {})", "encode({.group = id}, {})", "a group that lost records does not know it"),
    "group-not-named": ("src/replica/journal.cc", "  promises_changed_ |= fresh;", "  (void)fresh;", "a group all of whose entries are lost is forgotten"),
    "promises-copy-ignored": ("src/replica/journal.cc", "    group.hard.promised = std::max(group.hard.promised, promised);\n  }", "    (void)group;\n  }", "a promise in a damaged batch is lost"),
    "promise-in-one-place": ("src/replica/journal.cc", "  return keep_promises_twice();\n}", "  return save_changed_promises();\n}", "a promise that only the copy has stays there alone"),
    "floor-lost": ("src/replica/journal.cc", "    group.floor = *entry.floor;", "    (void)entry;", "records that a snapshot replaced are served again"),
    "floor-not-set-at-boot": ("src/replica/journal_boot.cc", "  if (!trusted && at.upto > kept.floor) TRY_DO(journal.append_floor(id, at.upto));", "", "after a crash between snapshot and floor the log serves what was never chosen"),
    "stale-record-applied": ("src/replica/journal_boot.cc", "  if (!kept.blind) {", "  {", "a superseded record that damage brought to light is applied"),
    "older-record-counts": ("src/replica/journal.cc", "  move(group.positions[slot.value - group.first.value], position);", "  if (auto& at = group.positions[slot.value - group.first.value]; at == 0) move(at, position);", "of two records of a slot the older one is read"),
    "trims-what-is-needed": ("src/replica/journal.cc", "  return log_->trim(Slot(std::min(needed - 1, durable_)));", "  (void)needed;\n  return log_->trim(Slot(durable_));", "segments go that groups still need"),
    "healed-too-early": ("src/replica/journal.cc", "  if (entry.healed) {", "  if (entry.healed || !entry.records.empty()) {", "the first record that comes again heals"),
    "snapshot-taken-too-early": ("sim/cluster.cc", "  host.flushing = true;", "  host.flushing = true;\n  scheduler_.after(0, [this, &node, group, upto = host.at.upto, life = node.life] {\n    if (node.life == life) step(node, group, SnapshotTaken{.upto = upto});\n  });", "the log is trimmed past what the database has flushed"),
    "fence-ignored": ("sim/machine.cc", "lock.holder == 0 || lock.sequencer != command.sequencer;\n    }", "false && lock.holder == 0;\n    }", "a former holder of a lock still writes"),
}
MUTANTS.update(STORAGE)


def compile_commands(build):
    return {entry["file"]: entry for entry in json.loads((build / "compile_commands.json").read_text())}


def try_mutant(name, build, commands, place, seeds):
    file, piece, replacement, what = MUTANTS[name]
    source = ROOT / (file if "/" in file else f"src/paxos/{file}")
    text = source.read_text()
    # However it is laid out: the formatter may break lines elsewhere tomorrow.
    pattern = r"\s+".join(map(re.escape, piece.split()))
    times = len(re.findall(pattern, text))
    if times != 1:
        return name, f"the piece is {times} times in {file}: the table must follow the code", None
    mutated = place / f"{name}.cc"
    mutated.write_text(re.sub(pattern, lambda _: replacement, text))
    entry = commands[str(source)]
    words = shlex.split(entry["command"])
    if words[0].endswith("ccache"):
        words = words[1:]
    words[words.index("-o") + 1] = str(place / f"{name}.o")
    words[words.index("-c") + 1] = str(mutated)
    words = [w for w in words if not w.startswith("-M") and not w.endswith(".o.d") and w != str(commands[str(source)]["output"] if "output" in entry else "")]
    words = [w for i, w in enumerate(words) if not (i and words[i - 1] == "-MT")]
    words.insert(1, "-w")
    done = subprocess.run(words, cwd=entry["directory"], capture_output=True, text=True)
    if done.returncode:
        return name, "does not compile:\n" + done.stderr[-2000:], None
    program = place / name
    link = [words[0], "-fuse-ld=lld-19", "-o", str(program), str(place / "main.o"), str(place / f"{name}.o"), str(build / "sim/libhailstone_sim.a"),
            *(str(build / f"src/{module}/libhailstone_{module}.a") for module in ("replica", "log", "disk", "paxos", "base")), "-lfmt", "-lxxhash", "-lisal", "-lcrypto", "-lpthread"]
    done = subprocess.run(link, capture_output=True, text=True)
    if done.returncode:
        return name, "does not link:\n" + done.stderr[-2000:], None
    done = subprocess.run([program, "--seed", "1", "--count", str(seeds), "--storage", "journal" if name in STORAGE else "model"], capture_output=True, text=True, timeout=3000)
    said = (done.stdout + done.stderr).strip().splitlines()
    if done.returncode == 0:
        return name, f"SURVIVES {seeds} seeds: {what}", None
    first = said[-1] if "CHECK" in (said[-1] if said else "") else next((line for line in said if line.startswith("seed")), said[-1] if said else "died")
    return name, "", first


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--only", help="one of them, or 'storage', 'forwarding': all of those")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=20000)
    options = parser.parse_args()
    build = (ROOT / options.build).resolve()
    commands = compile_commands(build)
    parts = {"storage": STORAGE, "forwarding": FORWARDING}
    names = list(parts[options.only]) if options.only in parts else [options.only] if options.only else list(MUTANTS)
    bad = 0
    with tempfile.TemporaryDirectory() as temporary:
        place = pathlib.Path(temporary)
        entry = commands[str(ROOT / "sim/main.cc")]
        words = shlex.split(entry["command"])
        words = words[1:] if words[0].endswith("ccache") else words
        words[words.index("-o") + 1] = str(place / "main.o")
        subprocess.run(words, cwd=entry["directory"], check=True)
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            for name, problem, first in pool.map(lambda n: try_mutant(n, build, commands, place, options.seeds), names):
                print(f"{name:26} {problem or 'caught: ' + first[:150]}", flush=True)
                bad += bool(problem)
    print(f"{len(names) - bad} of {len(names)} planted bugs caught within {options.seeds} seeds each")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
