// Completion scripts for bash, zsh and fish, generated from the parser itself, so that they can't be out of date.
#pragma once

#include <string>

namespace CLI {
class App;
}

namespace hailstone::cli {

/// `shell` is "bash", "zsh" or "fish".
std::string completion_script(const CLI::App& app, const std::string& shell);

}  // namespace hailstone::cli
