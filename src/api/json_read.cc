#include <fmt/format.h>

#include "api/cut_options.h"
#include "api/json.h"
#include "api/router.h"

namespace hailstone::api {
namespace {

/// "[json.exception.parse_error.101] parse error at line 1, column 5: ..." without the library's prefix.
Bytes plain(std::string_view what) {
  const size_t end = what.find("] ");
  return Bytes(end == what.npos ? what : what.substr(end + 2));
}

/// Builds the value. The library's own way takes the last of two equal names and nests as deep as memory goes; what
/// reads a request must do neither, and its parser with a callback looks through a whole array after each element.
class Builder final : public nlohmann::json_sax<Json> {
 public:
  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value); }
  bool string(string_t& value) override { return scalar(std::move(value)); }
  bool binary(binary_t& value) override { return scalar(std::move(value)); }
  bool start_object(size_t) override { return open(Json::object()); }
  bool start_array(size_t) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    const auto [at, first] = open_.back()->emplace(std::move(name), nullptr);
    if (!first) return refuse(fmt::format("field '{}' is there twice", printable(at.key())));
    field_ = &at.value();
    return true;
  }
  bool parse_error(size_t, const std::string&, const Json::exception& error) override {
    why_ = fmt::format("body is not JSON: {}", plain(error.what()));
    return false;
  }

  Json take() { return std::move(root_); }
  const Bytes& why() const { return why_; }

 private:
  bool refuse(std::string_view why) {
    why_ = fmt::format("body: {}", why);
    return false;
  }
  /// What is open does not move: nothing is added to what holds it until it is closed.
  Json& place(Json value) {
    Json& to = open_.empty() ? root_ : open_.back()->is_array() ? open_.back()->emplace_back() : *field_;
    to = std::move(value);
    return to;
  }
  bool scalar(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json value) {
    open_.push_back(&place(std::move(value)));
    return open_.size() <= kJsonDepthMax || refuse(fmt::format("nested deeper than {}", kJsonDepthMax));
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  Json root_;
  std::vector<Json*> open_;
  Json* field_ = nullptr;  // of the innermost object, named and without its value
  Bytes why_;
};

}  // namespace

Result<Json> parse_object(ByteView text) {
  Builder builder;
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) return fail(Code::Invalid, builder.why());
  Json parsed = builder.take();
  if (!parsed.is_object())
    return fail(Code::Invalid, fmt::format("body must be a JSON object, not {}", parsed.type_name()));
  return parsed;
}

Fields::Fields(const Json& object, Bytes where) : object_(&object), where_(std::move(where)) {
  static const Json kEmpty = Json::object();
  if (!object.is_object()) {
    wrong_ = Error{Code::Invalid, fmt::format("{} must be an object, not {}", where_, object.type_name())};
    object_ = &kEmpty;
  }
}

Bytes Fields::place(std::string_view name) const {
  return where_.empty() ? fmt::format("field '{}'", name) : fmt::format("field '{}.{}'", where_, name);
}

void Fields::refuse(std::string_view name, std::string_view what) {
  if (!wrong_) wrong_ = Error{Code::Invalid, fmt::format("{} {}", place(name), what)};
}

const Json* Fields::find(std::string_view name) {
  known_.push_back(name);
  const auto found = object_->find(name);
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

const Json* Fields::required(std::string_view name) {
  const Json* value = find(name);
  if (!value) refuse(name, "is missing");
  return value;
}

bool Fields::is_null(std::string_view name) const {
  const auto found = object_->find(name);
  return found != object_->end() && found->is_null();
}

std::optional<Bytes> Fields::optional_text(std::string_view name) {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (value->is_string()) return value->get<std::string>();
  refuse(name, fmt::format("must be a string, not {}", value->type_name()));
  return std::nullopt;
}

Bytes Fields::text(std::string_view name) {
  if (!required(name)) return {};
  return optional_text(name).value_or(Bytes());
}

std::optional<uint64_t> Fields::optional_number(std::string_view name, uint64_t least, uint64_t most) {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (value->is_number_unsigned()) {
    const auto number = value->get<uint64_t>();
    if (number >= least && number <= most) return number;
  }
  refuse(name, fmt::format("must be a whole number from {} to {}", least, most));
  return std::nullopt;
}

uint64_t Fields::number(std::string_view name, uint64_t least, uint64_t most) {
  if (!required(name)) return 0;
  return optional_number(name, least, most).value_or(0);
}

std::optional<bool> Fields::optional_flag(std::string_view name) {
  const Json* value = find(name);
  if (!value) return std::nullopt;
  if (value->is_boolean()) return value->get<bool>();
  refuse(name, fmt::format("must be true or false, not {}", value->type_name()));
  return std::nullopt;
}

const Json* Fields::optional_array(std::string_view name, size_t count_max) {
  const Json* value = find(name);
  if (!value) return nullptr;
  if (!value->is_array()) {
    refuse(name, fmt::format("must be an array, not {}", value->type_name()));
    return nullptr;
  }
  if (value->size() > count_max) {
    refuse(name, fmt::format("has {} elements, limit {}", value->size(), count_max));
    return nullptr;
  }
  return value;
}

std::optional<std::vector<Bytes>> Fields::optional_texts(std::string_view name) {
  constexpr size_t kTextsMax = 100'000;
  const Json* array = optional_array(name, kTextsMax);
  if (!array) return std::nullopt;
  std::vector<Bytes> out;
  out.reserve(array->size());
  for (const Json& element : *array) {
    if (!element.is_string()) {
      refuse(fmt::format("{}[{}]", name, out.size()), fmt::format("must be a string, not {}", element.type_name()));
      return std::nullopt;
    }
    out.push_back(element.get<std::string>());
  }
  return out;
}

const Json* Fields::optional_object(std::string_view name) {
  const Json* value = find(name);
  if (!value || value->is_object()) return value;
  refuse(name, fmt::format("must be an object, not {}", value->type_name()));
  return nullptr;
}

std::vector<Fields> Fields::objects(std::string_view name, size_t count_max) {
  std::vector<Fields> out;
  if (!required(name)) return out;
  const Json* array = optional_array(name, count_max);
  if (!array) return out;
  out.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i)
    out.emplace_back((*array)[i], fmt::format("{}{}{}[{}]", where_, where_.empty() ? "" : ".", name, i));
  return out;
}

std::optional<Bytes> Fields::optional_base64(std::string_view name) {
  const auto text = optional_text(name);
  if (!text) return std::nullopt;
  Bytes bytes;
  if (from_base64(*text, bytes)) return bytes;
  refuse(name, "is not base64 (RFC 4648 section 4, with padding)");
  return std::nullopt;
}

Bytes Fields::key() {
  auto plain_key = optional_text("key");
  auto encoded = optional_base64("key_base64");
  if (plain_key && encoded) refuse("key", "and 'key_base64' exclude each other");
  Bytes key = plain_key ? *std::move(plain_key) : encoded ? *std::move(encoded) : Bytes();
  if (auto valid = volume::validate_key(key); !valid)
    refuse("key", fmt::format("is refused: {}", valid.error().message));
  return key;
}

Result<void> Fields::finish() const {
  if (wrong_) return std::unexpected(*wrong_);
  for (const auto& [name, value] : object_->items()) {
    if (std::ranges::find(known_, name) != known_.end()) continue;
    return fail(Code::Invalid, fmt::format("unknown {}{}", place(printable(name)), did_you_mean(name, known_)));
  }
  return {};
}

Result<void> read_settings(Fields fields, volume::Settings& settings) {
  const auto flag = [&](std::string_view name, bool& out) { out = fields.optional_flag(name).value_or(out); };
  flag("overlay", settings.overlay);
  flag("public", settings.public_read);
  flag("cookie_pin", settings.cookie_pin);
  flag("compress", settings.compress);
  settings.grace_seconds = fields.optional_number("grace_seconds", 0, UINT32_MAX).value_or(settings.grace_seconds);
  settings.keep_releases = fields.optional_number("keep_releases", 0, UINT32_MAX).value_or(settings.keep_releases);
  settings.keep_seconds = fields.optional_number("keep_seconds", 0, UINT32_MAX).value_or(settings.keep_seconds);
  settings.trash_seconds = fields.optional_number("trash_seconds", 0, UINT32_MAX).value_or(settings.trash_seconds);
  settings.chunk_average_bytes = static_cast<uint32_t>(
      fields.optional_number("chunk_average_bytes", 0, UINT32_MAX).value_or(settings.chunk_average_bytes));
  settings.description = fields.optional_text("description").value_or(settings.description);
  if (const auto checks = fields.optional_text("checks")) {
    if (const auto mode = volume::parse_check_mode(*checks)) {
      settings.checks = *mode;
    } else {
      fields.refuse("checks", "must be 'refuse', 'warn' or 'off'");
    }
  }
  TRY_DO(fields.finish());
  TRY_DO(settings.validate());
  return check_cut_options(settings);
}

}  // namespace hailstone::api
