// The coroutine type of every edge, on a concrete executor: any_io_executor costs a sixth of the request rate.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

namespace hailstone::http {

namespace asio = boost::asio;
using Executor = asio::io_context::executor_type;
template <class T = void>
using Task = asio::awaitable<T, Executor>;

}  // namespace hailstone::http
