// One client connection: reads requests, calls the handler, sends responses in order, keeps deadlines.
#pragma once

#include <string>

#include "http/body_decoder.h"
#include "http/input_buffer.h"
#include "http/transport.h"
#include "http/worker.h"

namespace hailstone::http {

/// Lives in the frame of its coroutine. At most one coroutine of it waits at a time, so at most one deadline is set.
class Connection final : private RequestBody {
 public:
  Connection(Worker& worker, Socket socket);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Returns when the connection is over.
  Task<void> run();

  /// Ends the present wait if its deadline has passed or its transfer is too slow.
  void sweep(int64_t now_ms);
  /// The server stops: an idle connection ends now, a busy one after its response.
  void drain();
  /// Sends what waits for company while a handler waits for something else.
  void flush_deferred();

  size_t place = 0;  // in the worker's list

 private:
  enum class Wait : uint8_t { None, Handshake, First, Idle, Head, Body, Send, Linger };
  enum class Next : uint8_t { Request, Rejected, Over };
  // How a body travels, for the minimum rate. Only time spent waiting for the client counts.
  struct Transfer {
    uint64_t bytes = 0;
    int64_t waited_ms = 0;
  };

  Task<Next> next_request();
  Task<bool> serve_request();
  Task<bool> send_refusal();
  Task<bool> drain_body();
  Task<void> linger();
  bool may_keep_alive() const;

  bool company_follows() const;
  bool stage(Part& part, Outgoing& outgoing);
  Transport::Progress push(Outgoing& outgoing);
  Task<bool> finish_push(Outgoing& outgoing);
  Task<bool> finish_push_tls(Outgoing& outgoing);
  Task<bool> write_tls(ByteView bytes);
  Task<bool> flush();
  Task<bool> stream_body(Response& response, const ResponseFraming& framing);

  Task<Result<size_t>> read_some(char* out, size_t size) override;
  Task<Result<size_t>> receive_body(char* out, size_t size);

  void start_wait(Wait wait, int64_t deadline_ms, Transfer* transfer);
  void end_wait();
  void count_response(int status);
  void count_sent(uint64_t bytes);
  void log_request(int status, int64_t took_ms);

  Worker& worker_;
  Transport transport_;
  std::string peer_;
  InputBuffer in_;
  RequestParser parser_;
  RequestHead head_;
  Reject reject_ = Reject::BadRequestLine;

  BodyDecoder decoder_ = BodyDecoder::fixed(0);
  bool continue_due_ = false;  // the client waits for 100-continue
  bool body_broken_ = false;   // its framing or its sender failed: no further request can be found
  bool handler_runs_ = false;

  Bytes out_;  // heads and small responses not yet sent
  size_t out_sent_ = 0;
  uint32_t requests_ = 0;
  bool keep_alive_ = true;

  Wait wait_ = Wait::None;
  int64_t deadline_ms_ = 0;
  int64_t wait_start_ms_ = 0;
  bool expired_ = false;
  Transfer* transfer_ = nullptr;
  Transfer receiving_, sending_;
};

}  // namespace hailstone::http
