#include "net/resolve.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/ip/basic_resolver.hpp>

namespace hailstone::net {
namespace {

/// Its answer may come when nobody waits any more.
struct Lookup {
  Lookup(const Executor& executor, std::shared_ptr<Timer> timer) : resolver(executor), wake(std::move(timer)) {}
  asio::ip::basic_resolver<Tcp, Executor> resolver;
  const std::shared_ptr<Timer> wake;
  bool done = false;
  SocketError error;
  std::vector<Tcp::endpoint> endpoints;
};

}  // namespace

Task<Result<std::vector<Tcp::endpoint>>> resolve(std::shared_ptr<Timer> wake, std::string host, uint16_t port,
                                                 SteadyTime deadline, std::function<bool()> wanted) {
  SocketError not_numeric;
  if (const auto address = asio::ip::make_address(host, not_numeric); !not_numeric)
    co_return std::vector<Tcp::endpoint>{{address, port}};
  auto lookup = std::make_shared<Lookup>(wake->get_executor(), wake);
  lookup->resolver.async_resolve(host, std::to_string(port), [lookup](const SocketError& error, const auto& results) {
    lookup->done = true;
    lookup->error = error;
    for (const auto& result : results) lookup->endpoints.push_back(result.endpoint());
    lookup->wake->cancel();
  });
  while (!lookup->done && SteadyClock::now() < deadline && wanted()) {
    wake->expires_at(deadline);
    co_await wake->async_wait(asio::as_tuple(asio::deferred));
  }
  if (!lookup->done && !wanted()) co_return fail(Code::Unavailable, "not wanted any more");
  if (!lookup->done) co_return fail(Code::Timeout, "no address in time");
  if (lookup->error) co_return fail(Code::Unavailable, lookup->error.message());
  co_return std::move(lookup->endpoints);
}

bool is_loopback(const asio::ip::address& address) {
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).is_loopback();
  return address.is_loopback();
}

}  // namespace hailstone::net
