#include "cli/context.h"

#include <fmt/format.h>

#include <fstream>

namespace hailstone::cli {
namespace {

// First line of a readable file, or nothing.
std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.pop_back();
  return line;
}

}  // namespace

std::string Context::variable(const char* name) const {
  const char* value = environment_.variable ? environment_.variable(name) : nullptr;
  return value != nullptr ? value : "";
}

std::string Context::url() const {
  if (!url_option.empty()) return url_option;
  const std::string named = variable("HAILSTONE_URL");
  return named.empty() ? "http://127.0.0.1:8080" : named;
}

// The administrator's key of a server on this machine, where this user may read it, saves the first setup step.
std::string Context::key() const {
  if (!key_option.empty()) return key_option;
  if (std::string named = variable("HAILSTONE_KEY"); !named.empty()) return named;
  const std::string data = variable("HAILSTONE_DATA");
  return first_line((data.empty() ? std::string("hailstone-data") : data) + "/admin.key");
}

Result<std::unique_ptr<Api>> Context::new_api() const {
  TRY(auto transport, environment_.connect({url(), ca_file.empty() ? variable("HAILSTONE_CA_FILE") : ca_file}));
  ApiOptions options;
  options.url = url();
  options.key = key();
  options.sleep = environment_.sleep;
  return std::make_unique<Api>(std::move(options), std::move(transport));
}

Result<Api*> Context::api() {
  if (!api_) {
    TRY(api_, new_api());
  }
  return api_.get();
}

bool Context::print_json(const Bytes& raw) const {
  if (!json) return false;
  out() << raw;
  if (!raw.empty() && !raw.ends_with('\n')) out() << '\n';
  return true;
}

void print_warnings(const Context& context, const Json& answer) {
  if (!answer.is_object() || !answer.contains("warnings") || !answer["warnings"].is_array()) return;
  for (const Json& warning : answer["warnings"]) {
    if (warning.is_string()) {
      context.note("warning: " + warning.get<std::string>());
    } else if (const Bytes key = bytes_field(warning, "key"); key.empty()) {
      context.note("warning: " + warning.value("message", ""));
    } else {
      context.note(fmt::format("warning: {}: {}", printable(key), warning.value("message", "")));
    }
  }
}

}  // namespace hailstone::cli
