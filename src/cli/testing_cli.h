// For tests: runs command lines against a server made of functions, or of memory.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>

#include "cli/command_line.h"
#include "mirror/testing_server.h"

namespace hailstone::cli {

/// What a fake server is asked, decoded.
struct FakeRequest {
  std::string method, path, query;
  std::map<std::string, std::string> fields;  // names as sent
  Bytes body;
  Bytes parameter(const std::string& name) const {
    std::istringstream pairs(query);
    for (std::string pair; std::getline(pairs, pair, '&');) {
      Bytes out;
      if (pair.starts_with(name + "=") && percent_decode(std::string_view(pair).substr(name.size() + 1), out))
        return out;
    }
    return {};
  }
};

using FakeHandler = std::function<Result<Answer>(const FakeRequest&)>;

inline Answer ok(const Json& body) { return {200, {}, body.dump() + "\n"}; }
inline Answer refusal(int status, const std::string& code, const std::string& message,
                      const Json& keys = Json::array()) {
  return {status, {}, Json{{"error", {{"code", code}, {"message", message}, {"keys", keys}}}}.dump()};
}

class FakeTransport final : public Transport {
 public:
  explicit FakeTransport(FakeHandler handler) : handler_(std::move(handler)) {}
  Result<Answer> call(const Call& call, const BodySink* sink) override {
    FakeRequest request;
    request.method = call.method;
    request.path = call.target.substr(0, call.target.find('?'));
    if (const size_t mark = call.target.find('?'); mark != std::string::npos)
      request.query = call.target.substr(mark + 1);
    for (const auto& [name, value] : call.fields) request.fields[name] = value;
    request.body = call.body;
    while (call.pull) {
      TRY(const bool more, call.pull(request.body));
      if (!more) break;
    }
    TRY(Answer answer, handler_(request));
    if (sink != nullptr && answer.status < 300) {
      // In small pieces, as a network might.
      for (size_t at = 0; at < answer.body.size(); at += 1000) TRY_DO((*sink)(ByteView(answer.body).substr(at, 1000)));
      answer.body.clear();
    }
    return answer;
  }

 private:
  FakeHandler handler_;
};

/// One run of the program.
struct Outcome {
  int exit = 0;
  std::string out, err;
};

class CliTest : public ::testing::Test {
 protected:
  Outcome run(const std::vector<std::string>& arguments) {
    std::ostringstream out, err;
    Environment environment{
        out,
        err,
        false,
        [this](const char* name) -> const char* {
          const auto at = variables.find(name);
          return at == variables.end() ? nullptr : at->second.c_str();
        },
        [this](const Server&) -> Result<std::unique_ptr<Transport>> {
          return std::make_unique<FakeTransport>([this](const FakeRequest& request) { return serve(request); });
        },
        [this](std::chrono::milliseconds time) { slept += time; }};
    Outcome outcome;
    outcome.exit = cli::run(arguments, environment, hooks);
    outcome.out = out.str();
    outcome.err = err.str();
    return outcome;
  }
  virtual Result<Answer> serve(const FakeRequest& request) {
    requests.push_back(request);
    return handler ? handler(request) : fail(Code::Unavailable, "connection refused");
  }

  FakeHandler handler;
  std::vector<FakeRequest> requests;
  std::map<std::string, std::string> variables;
  std::chrono::milliseconds slept{0};
  Hooks hooks;
};

}  // namespace hailstone::cli
