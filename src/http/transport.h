// A connection's socket, plain or under TLS: receive, send, sendfile; no HTTP.
#pragma once

#include <sys/uio.h>

#include <boost/asio/basic_stream_socket.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <memory>

#include "http/message.h"
#include "http/task.h"

namespace boost::asio::ssl {
class context;
}

namespace hailstone::http {

using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using SocketError = boost::system::error_code;

struct Received {
  SocketError error;
  size_t count = 0;  // 0 without an error: the peer closed its side
};

class TlsStream;

/// Memory, then pages, then a file, to be sent in this order; shortened as they go out.
struct Outgoing {
  ByteView first, second;
  ByteView pages;            // of a PageSpan: sent without a copy; not for TLS
  FileSpan* file = nullptr;  // offset and length advance; not for TLS
  bool more = false;         // something follows soon: let the kernel fill its packets
  bool empty() const {
    return first.empty() && second.empty() && pages.empty() && (file == nullptr || file->length == 0);
  }
};

class Transport {
 public:
  enum class Progress : uint8_t { Done, Blocked, Yield, Failed };

  Transport(Socket socket, asio::ssl::context* tls);
  ~Transport();
  Transport(const Transport&) = delete;
  Transport& operator=(const Transport&) = delete;

  bool secure() const { return tls_ != nullptr; }
  Task<SocketError> handshake();

  /// At least one byte. Plain sockets: recv(2) at once when `eager`, which pays where data is likely to be there.
  enum class Eager : uint8_t { No, Yes };
  Task<Received> receive(char* out, size_t size, Eager eager);

  /// Plain only, never waits. Yield: a lot went out in this turn, let others run. Failed: peer gone, or the file is
  /// shorter than promised.
  Progress send_now(Outgoing& outgoing, uint64_t& sent);
  /// Plain only: waits until the socket takes more.
  Task<SocketError> writable();
  /// TLS only.
  Task<SocketError> write_tls(ByteView bytes);

  /// Ends waits with operation_aborted.
  void cancel();
  void shutdown_send();
  /// TLS only: says goodbye and waits for the peer's.
  Task<void> shutdown_tls();
  /// Closes with a reset: the peer must not take what it has for the whole, nor the kernel keep what it won't take.
  void reset();
  Socket& socket() { return socket_; }

 private:
  Socket socket_;
  std::unique_ptr<TlsStream> tls_;
};

}  // namespace hailstone::http
