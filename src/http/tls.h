// TLS settings of the server, in one place; the only header besides transport.cc that shows OpenSSL.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/error.h"

namespace hailstone::http {

/// TLS 1.2 and 1.3, forward-secret AEAD suites, ALPN http/1.1. Invalid, naming the file, when a PEM file won't do.
Result<std::unique_ptr<boost::asio::ssl::context>> make_tls_context(const std::string& certificate_chain_file,
                                                                    const std::string& key_file);

}  // namespace hailstone::http
