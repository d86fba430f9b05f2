#include "api/cut_options.h"
#include "api/streams.h"
#include "api/upload.h"
#include "api/write.h"

namespace hailstone::api {
namespace {

class ContentSink final : public Sink {
 public:
  ContentSink(Context& context, Call call) : context_(context), call_(std::move(call)) {}

  std::expected<void, Failure> take(ByteView piece) override {
    if (!writer_) TRY_DO(open());
    TRY_DO(writer_->write(piece));
    return {};
  }

  Outcome finish() override {
    volume::Entry entry;
    TRY(entry.content, writer_->finish());
    TRY_DO(context_.repository().chunks().sync());
    entry.content_type = call_.query.text_or("content_type", "");
    entry.modified_ns = context_.repository().clock().wall().value * 1000;
    Json body{{"etag", volume::etag_of(entry)}, {"sha256", entry.content.sha256.hex()}, {"size", entry.content.bytes}};
    TRY(const auto written, write_one(context_, call_, *target_, {std::move(key_), std::move(entry)}));
    body["position"] = written.slot.value;
    body["token"] = written.token;
    return Answer{200, std::move(body)};
  }

 private:
  // What can be refused is refused before anything is stored.
  Result<void> open() {
    TRY(key_, call_.query.required("key"));
    TRY_DO(volume::validate_key(key_));
    TRY(auto target, writable_target(context_, call_));
    session_ = context_.repository().chunks().begin_writes();
    writer_ = std::make_unique<chunk::ContentWriter>(context_.repository().chunks(),
                                                     cut_options(target.volume->record.settings));
    target_ = std::move(target);
    return {};
  }

  Context& context_;
  Call call_;
  Bytes key_;
  std::optional<volume::Target> target_;
  std::unique_ptr<chunk::WriteSession> session_;  // until what was stored is committed, or given up
  std::unique_ptr<chunk::ContentWriter> writer_;
};

class UploadSink final : public Sink {
 public:
  UploadSink(Context& context, Call call) : context_(context), call_(std::move(call)) {}

  std::expected<void, Failure> take(ByteView piece) override {
    if (!upload_) {
      TRY(auto target, writable_target(context_, call_));
      upload_ = std::make_unique<Upload>(context_.repository(), call_.caller, std::move(target));
    }
    return upload_->feed(piece);
  }

  Outcome finish() override {
    TRY(const auto done, upload_->finish());
    return Answer{200,
                  {{"puts", done.counts.puts},
                   {"copies", done.counts.copies},
                   {"deletes", done.counts.deletes},
                   {"bytes", done.counts.bytes},
                   {"position", done.position.value},
                   {"token", done.token},
                   {"previous_token", done.previous}}};
  }

 private:
  Context& context_;
  Call call_;
  std::unique_ptr<Upload> upload_;
};

}  // namespace

std::shared_ptr<Sink> content_sink(Context& context, Call call) {
  return std::make_shared<ContentSink>(context, std::move(call));
}

std::shared_ptr<Sink> upload_sink(Context& context, Call call) {
  return std::make_shared<UploadSink>(context, std::move(call));
}

}  // namespace hailstone::api
