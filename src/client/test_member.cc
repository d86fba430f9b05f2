// A cell of one member in memory, for tests of programs: prints its address and serves until its input ends.
#include <fmt/format.h>
#include <unistd.h>

#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdio>

#include "client/testing.h"

using namespace hailstone;

int main() {
  net::asio::io_context loop(1);
  client::TestMember member(loop);
  fmt::print("{}\n", member.address());
  std::fflush(stdout);
  net::asio::posix::basic_stream_descriptor<net::Executor> input(loop, ::dup(0));
  input.async_wait(net::asio::posix::descriptor_base::wait_read, [&](const net::SocketError&) { loop.stop(); });
  loop.run();
}
