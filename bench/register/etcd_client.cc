// etcd's KV service over gRPC: HTTP/2 by nghttp2, and the two messages by hand.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <cstring>

#include "base/codec.h"
#include "bench/register/client.h"

namespace hailstone::bench {
namespace {

nghttp2_nv header(const char* name, const char* value) {
  const auto bytes = [](const char* text) { return reinterpret_cast<uint8_t*>(const_cast<char*>(text)); };
  return {bytes(name), bytes(value), std::strlen(name), std::strlen(value), NGHTTP2_NV_FLAG_NONE};
}

class EtcdClient final : public Client {
 public:
  EtcdClient() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_client_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
  }
  ~EtcdClient() override { nghttp2_session_del(session_); }

  Bytes hello() override {
    const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1u << 20}};
    nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, settings, 1);
    return pending();
  }

  Bytes call(Call call, ByteView key, ByteView value) override {
    Bytes message;
    const auto field = [&](uint8_t number, ByteView bytes) {
      Encoder to(message);
      to.u8(static_cast<uint8_t>(number << 3 | 2));
      to.bytes(bytes);
    };
    field(1, key);
    if (call == Call::Put) field(2, value);
    body_.assign(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) body_.push_back(static_cast<char>(message.size() >> shift));
    body_ += message;
    sent_ = 0;
    const nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", call == Call::Put ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range"),
        header(":authority", "localhost"),
        header("content-type", "application/grpc"),
        header("te", "trailers"),
    };
    nghttp2_data_provider provider{};
    provider.source.ptr = this;
    provider.read_callback = read_body;
    status_ = -1;
    nghttp2_submit_request(session_, nullptr, headers, std::size(headers), &provider, nullptr);
    return pending();
  }

  Event take(ByteView bytes, Bytes& out) override {
    if (!ready_) {
      ready_ = true;
      return Event::Ready;
    }
    const ssize_t taken =
        nghttp2_session_mem_recv(session_, reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
    out = pending();
    if (taken < 0) {
      why = nghttp2_strerror(static_cast<int>(taken));
      return Event::Failed;
    }
    if (!closed_) return Event::None;
    closed_ = false;
    if (status_ == 0) return Event::Done;
    why = "grpc-status " + std::to_string(status_);
    return Event::Failed;
  }

 private:
  Bytes pending() {
    Bytes out;
    const uint8_t* data = nullptr;
    for (ssize_t size; (size = nghttp2_session_mem_send(session_, &data)) > 0;)
      out.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    return out;
  }
  static ssize_t read_body(nghttp2_session*, int32_t, uint8_t* to, size_t size, uint32_t* flags,
                           nghttp2_data_source* source, void*) {
    auto& self = *static_cast<EtcdClient*>(source->ptr);
    const size_t part = std::min(size, self.body_.size() - self.sent_);
    std::memcpy(to, self.body_.data() + self.sent_, part);
    self.sent_ += part;
    if (self.sent_ == self.body_.size()) *flags |= NGHTTP2_DATA_FLAG_EOF;
    return static_cast<ssize_t>(part);
  }
  static int on_close(nghttp2_session*, int32_t, uint32_t error, void* user) {
    auto& self = *static_cast<EtcdClient*>(user);
    self.closed_ = true;
    if (error != 0) self.status_ = static_cast<int>(1000 + error);
    return 0;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                       const uint8_t* value, size_t value_size, uint8_t, void* user) {
    const ByteView key(reinterpret_cast<const char*>(name), name_size);
    if (key == "grpc-status")
      static_cast<EtcdClient*>(user)->status_ =
          std::stoi(std::string(reinterpret_cast<const char*>(value), value_size));
    return 0;
  }

  nghttp2_session* session_ = nullptr;
  Bytes body_;
  size_t sent_ = 0;
  bool ready_ = false, closed_ = false;
  int status_ = -1;
};

}  // namespace

std::unique_ptr<Client> make_etcd_client() { return std::make_unique<EtcdClient>(); }

}  // namespace hailstone::bench
