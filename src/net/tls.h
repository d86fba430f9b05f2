// Mutual TLS 1.3 between nodes, without sockets: bytes of the wire in and out, bytes of frames in and out.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/error.h"
#include "net/transport.h"

typedef struct ssl_ctx_st SSL_CTX;
typedef struct ssl_st SSL;
typedef struct bio_st BIO;

namespace hailstone::net {

/// PEM files. Peers must show a certificate that the authority has signed, and so must we.
struct TlsFiles {
  std::string authority;    // CA certificates
  std::string certificate;  // our own, with its chain; a node's is for node_name(id)
  std::string key;
  bool operator==(const TlsFiles&) const = default;
};

inline constexpr size_t kPrincipalBytesMax = 64;  // X.520's upper bound of a common name
/// Whom the other side is taken for where there is no TLS.
inline constexpr std::string_view kAnonymous = "anonymous";
/// Empty when a certificate can be for it, else what is wrong: 1 to kPrincipalBytesMax bytes without control
/// characters, neither "*", which means everybody, nor kAnonymous.
std::string problem_of_principal(ByteView name);

/// Settings and keys; read once, used by all connections of a thread.
class TlsContext {
 public:
  /// Invalid, naming the file, when one won't do, or when the certificate is not that of node `self`.
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files, NodeId self);
  /// The same, whomever the certificate is for.
  static Result<std::unique_ptr<TlsContext>> load(const TlsFiles& files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  SSL_CTX* native() const { return context_; }

 private:
  explicit TlsContext(SSL_CTX* context) : context_(context) {}
  SSL_CTX* context_;
};

enum class Side : uint8_t { Dialled, Accepted };

/// One connection's. An error ends it; what output() then holds (an alert) should still be sent.
class TlsSession {
 public:
  TlsSession(const TlsContext& context, Side side);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// Gives buffers back whenever they are empty: less memory for a little more work.
  void free_idle_buffers();

  /// Bytes that came from the wire.
  void feed(ByteView wire);
  /// True once done; false: more must be fed. Denied: the peer's certificate won't do, or ours.
  Result<bool> handshake();
  /// Up to `size` bytes of what the peer wrote; 0: more must be fed. Unavailable: the peer said goodbye.
  Result<size_t> read(char* out, size_t size);
  /// After the handshake. Its encryption is added to output().
  Result<void> write(ByteView bytes);
  /// To be sent, in order.
  ByteView output();
  void sent(size_t bytes);

  /// After the handshake: the peer's certificate is for this node.
  bool peer_is(NodeId id) const;
  /// After the handshake: whom the peer's certificate is for: the common name of its subject or, where it has none, its
  /// only DNS name (RFC 5280 §4.1.2.6, §4.2.1.6). Denied: there is none, or more than one, or it is no principal's.
  Result<std::string> principal() const;
  /// What it is for, for messages.
  std::string peer_name() const;

 private:
  std::unexpected<Error> failure(const char* what);
  SSL* ssl_;
  BIO* in_;   // owned by ssl_
  BIO* out_;  // owned by ssl_
  Bytes output_;
  size_t sent_ = 0;
  bool frees_ = false;
};

}  // namespace hailstone::net
