// Processes of a demonstration: started with their output in a file, waited for, ended with it.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "base/error.h"

namespace hailstone::cli {

/// Before the first child: what ends a demonstration is waited for by wait_for_signal(), not met at any time. For good.
void block_demo_signals();
/// SIGCHLD, or one that says to end.
int wait_for_signal();

class Child {
 public:
  /// `program`: a path; words[0] is its name. In a process group of its own, so that an interrupt from the terminal
  /// comes once, from here; with no signal blocked.
  static Result<Child> start(const std::string& program, const std::vector<std::string>& words, const std::string& log);
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, 0)) {}
  Child& operator=(Child&&) = delete;
  ~Child();  // asks it to end, and waits for that

  pid_t pid() const { return pid_; }
  void terminate() const;
  /// True from then on when it has ended.
  bool ended();

 private:
  explicit Child(pid_t pid) : pid_(pid) {}
  pid_t pid_;  // 0: it is gone
};

/// Of an installed program, in $PATH or where administrators' programs are; empty: it is not installed.
std::string find_program(const std::string& name);
/// The first of `count` ports on loopback that nobody listens at just now. Exhausted: none were found.
Result<uint16_t> find_free_ports(uint16_t count);

}  // namespace hailstone::cli
