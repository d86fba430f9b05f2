// etcd's KV service over gRPC: HTTP/2 by nghttp2, and the two messages by hand.
#include <nghttp2/nghttp2.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <tuple>

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
    if (call == Call::LockPair) {
      lock_ = key;
      return lease_ ? lock() : grant();
    }
    Bytes message;
    field(message, 1, key);
    if (call == Call::Put) field(message, 2, value);
    return request(call == Call::Put ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range", message);
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
    if (status_ == 0) {
      if (step_ == Step::None) return Event::Done;
      out += std::exchange(step_, Step::None) == Step::Lock ? lock() : unlock();
      return Event::None;
    }
    step_ = Step::None;
    why = "grpc-status " + std::to_string(status_);
    return Event::Failed;
  }

 private:
  static void field(Bytes& message, uint8_t number, ByteView bytes) {
    Encoder to(message);
    to.u8(static_cast<uint8_t>(number << 3 | 2));
    to.bytes(bytes);
  }
  static void field(Bytes& message, uint8_t number, uint64_t value) {
    Encoder to(message);
    to.u8(static_cast<uint8_t>(number << 3));
    to.varint(value);
  }

  Bytes request(const char* path, const Bytes& message) {
    body_.assign(1, '\0');
    for (int shift = 24; shift >= 0; shift -= 8) body_.push_back(static_cast<char>(message.size() >> shift));
    body_ += message;
    sent_ = 0;
    const nghttp2_nv headers[] = {
        header(":method", "POST"),
        header(":scheme", "http"),
        header(":path", path),
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

  // What etcd's own `concurrency` package asks for: a key of this session under the lock's prefix, and who has the
  // oldest; unlocking deletes the key.
  Bytes grant() {
    lease_ = (reinterpret_cast<uintptr_t>(this) >> 4 ^ static_cast<uint64_t>(getpid()) << 40) & INT64_MAX;
    step_ = Step::Lock;
    Bytes message;
    field(message, 1, uint64_t{60});
    field(message, 2, lease_);
    return request("/etcdserverpb.Lease/LeaseGrant", message);
  }
  Bytes my_key() const { return lock_ + "/" + std::to_string(lease_); }
  Bytes lock() {
    Bytes compare, put, range, get, message, operation;
    field(compare, 2, uint64_t{1});  // the revision of its creation
    field(compare, 3, my_key());
    field(compare, 5, uint64_t{0});  // is that of a key that is not there
    field(put, 1, my_key());
    field(put, 3, lease_);
    field(range, 1, lock_ + "/");
    field(range, 2, lock_ + "0");
    field(range, 3, uint64_t{1});
    field(range, 5, uint64_t{1});
    field(range, 6, uint64_t{2});
    field(get, 1, my_key());
    field(message, 1, compare);
    for (const auto& [branch, kind, what] : {std::tuple(2, 2, &put), {2, 1, &range}, {3, 1, &get}, {3, 1, &range}}) {
      operation.clear();
      field(operation, static_cast<uint8_t>(kind), *what);
      field(message, static_cast<uint8_t>(branch), operation);
    }
    step_ = Step::Unlock;
    return request("/etcdserverpb.KV/Txn", message);
  }
  Bytes unlock() {
    Bytes message;
    field(message, 1, my_key());
    return request("/etcdserverpb.KV/DeleteRange", message);
  }

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
  enum class Step : uint8_t { None, Lock, Unlock } step_ = Step::None;  // of a pair, when the answer at hand has come
  uint64_t lease_ = 0;
  Bytes lock_;
};

}  // namespace

std::unique_ptr<Client> make_etcd_client() { return std::make_unique<EtcdClient>(); }

}  // namespace hailstone::bench
