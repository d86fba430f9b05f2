#include "cli/completion.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <vector>

namespace hailstone::cli {
namespace {

// One command: its path ("volume create"), subcommands and long options.
struct Node {
  std::string path;
  std::string description;
  struct Word {
    std::string text, description;
    bool takes_value = false;
  };
  std::vector<Word> commands;
  std::vector<Word> options;
};

void collect(const CLI::App& app, const std::string& path, const std::vector<Node::Word>& inherited,
             std::vector<Node>& out) {
  Node node{path, app.get_description(), {}, inherited};
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames())
      node.options.push_back({"--" + name, option->get_description(), option->get_items_expected_max() > 0});
  }
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; }))
    node.commands.push_back({child->get_name(), child->get_description()});
  out.push_back(node);
  // --help and --version of the parent are not the child's.
  std::vector<Node::Word> passed_on = inherited;
  if (path.empty())
    for (const auto& option : node.options)
      if (option.text != "--help" && option.text != "--version") passed_on.push_back(option);
  for (const CLI::App* child : app.get_subcommands([](const CLI::App*) { return true; }))
    collect(*child, path.empty() ? child->get_name() : path + " " + child->get_name(), passed_on, out);
}

std::string joined(const std::vector<Node::Word>& words) {
  std::string out;
  for (const auto& word : words) out += (out.empty() ? "" : " ") + word.text;
  return out;
}

// In single quotes of a shell.
std::string shell_quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out + "'";
}

// Words that are commands so far, as the script walks the line: "volume create".
std::string known_paths(const std::vector<Node>& nodes) {
  std::string out;
  for (const Node& node : nodes)
    if (!node.path.empty()) out += (out.empty() ? "" : "|") + shell_quoted(node.path);
  return out;
}

std::string value_options(const std::vector<Node>& nodes) {
  std::vector<std::string> names;
  for (const Node& node : nodes)
    for (const auto& option : node.options)
      if (option.takes_value && std::find(names.begin(), names.end(), option.text) == names.end())
        names.push_back(option.text);
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : "|") + name;
  return out;
}

std::string bash(const std::vector<Node>& nodes) {
  std::string cases;
  for (const Node& node : nodes)
    cases += fmt::format("    {}) commands='{}' options='{}' ;;\n", node.path.empty() ? "''" : shell_quoted(node.path),
                         joined(node.commands), joined(node.options));
  return fmt::format(R"(# bash completion for hailstone
_hailstone() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} path='' word i commands='' options='' skip=''
  for ((i = 1; i < COMP_CWORD; i++)); do
    word=${{COMP_WORDS[i]}}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      {0}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "${{path:+$path }}$word" in
      {1}) path="${{path:+$path }}$word" ;;
    esac
  done
  case $path in
{2}  esac
  if [[ -n $skip ]]; then COMPREPLY=($(compgen -f -- "$current")); return; fi
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$current"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$current"))
  else
    COMPREPLY=($(compgen -f -- "$current"))
  fi
}}
complete -o filenames -F _hailstone hailstone
)",
                     value_options(nodes), known_paths(nodes), cases);
}

std::string zsh(const std::vector<Node>& nodes) {
  const auto described = [](const std::vector<Node::Word>& words) {
    std::string out;
    for (const auto& word : words) {
      std::string text = word.text + ":" + word.description;
      out += " " + shell_quoted(text);
    }
    return out;
  };
  std::string cases;
  for (const Node& node : nodes)
    cases += fmt::format("    {}) commands=({}) options=({}) ;;\n", node.path.empty() ? "''" : shell_quoted(node.path),
                         described(node.commands), described(node.options));
  return fmt::format(R"(#compdef hailstone
# zsh completion for hailstone
_hailstone() {{
  local path_so_far='' word i skip=''
  local -a commands options
  for ((i = 2; i < CURRENT; i++)); do
    word=${{words[i]}}
    if [[ -n $skip ]]; then skip=''; continue; fi
    case $word in
      {0}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "${{path_so_far:+$path_so_far }}$word" in
      {1}) path_so_far="${{path_so_far:+$path_so_far }}$word" ;;
    esac
  done
  case $path_so_far in
{2}  esac
  if [[ -n $skip ]]; then _files; return; fi
  if [[ ${{words[CURRENT]}} == -* ]]; then
    _describe option options
  elif (( ${{#commands}} )); then
    _describe command commands
  else
    _files
  fi
}}
compdef _hailstone hailstone
)",
                     value_options(nodes), known_paths(nodes), cases);
}

std::string fish(const std::vector<Node>& nodes) {
  std::string out = R"(# fish completion for hailstone
function __hailstone_at
    set -l words
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a words $word
    end
    string match -q -- "$argv*" (string join ' ' -- $words); and return 0
    return 1
end
function __hailstone_needs_command
    set -l words
    for word in (commandline -opc)[2..-1]
        string match -q -- '-*' $word; or set -a words $word
    end
    test (string join ' ' -- $words) = "$argv"
end
)";
  for (const Node& node : nodes) {
    for (const auto& command : node.commands)
      out += fmt::format("complete -c hailstone -f -n '__hailstone_needs_command {}' -a {} -d {}\n",
                         node.path.empty() ? "\"\"" : "\"" + node.path + "\"", command.text,
                         shell_quoted(command.description));
    for (const auto& option : node.options)
      out += fmt::format("complete -c hailstone -n '__hailstone_at \"{}\"' -l {} {}-d {}\n", node.path,
                         option.text.substr(2), option.takes_value ? "-r " : "", shell_quoted(option.description));
  }
  return out;
}

}  // namespace

std::string completion_script(const CLI::App& app, const std::string& shell) {
  std::vector<Node> nodes;
  collect(app, "", {}, nodes);
  if (shell == "zsh") return zsh(nodes);
  if (shell == "fish") return fish(nodes);
  return bash(nodes);
}

}  // namespace hailstone::cli
