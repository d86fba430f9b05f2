#include "net/tls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include "net/testing.h"

namespace hailstone::net {
namespace {

using testing::HasSubstr;

constexpr NodeId kOne(1), kTwo(2);

/// Moves what one side has written to the other, a byte at a time.
bool carry(TlsSession& from, TlsSession& to) {
  const Bytes wire(from.output());
  from.sent(wire.size());
  for (const char& byte : wire) to.feed({&byte, 1});
  return !wire.empty();
}

struct Handshake {
  Result<bool> dialled = false, accepted = false;
};

Handshake shake(TlsSession& dialled, TlsSession& accepted) {
  Handshake out;
  for (int round = 0; round < 10 && out.dialled && out.accepted && !(*out.dialled && *out.accepted); ++round) {
    if (!*out.dialled) out.dialled = dialled.handshake();
    carry(dialled, accepted);
    if (!*out.accepted) out.accepted = accepted.handshake();
    carry(accepted, dialled);
  }
  return out;
}

TEST(Tls, BothSidesKnowWhomTheyTalkTo) {
  TestCell cell;
  const auto one = TlsContext::load(cell.files(1), kOne).value(), two = TlsContext::load(cell.files(2), kTwo).value();
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  const Handshake done = shake(dialled, accepted);
  ASSERT_TRUE(done.dialled && *done.dialled && done.accepted && *done.accepted);
  EXPECT_TRUE(dialled.peer_is(kTwo));
  EXPECT_FALSE(dialled.peer_is(kOne));
  EXPECT_TRUE(accepted.peer_is(kOne));
  EXPECT_FALSE(accepted.peer_is(NodeId(11)));
  EXPECT_EQ(accepted.peer_name(), "node-1");

  Bytes sent;
  for (const size_t size : {1u, 0u, 16384u, 100'000u}) {
    const Bytes piece(size, 'p');
    ASSERT_TRUE(dialled.write(piece));
    sent += piece;
  }
  carry(dialled, accepted);
  Bytes received;
  char room[1000];
  while (true) {
    const auto count = accepted.read(room, sizeof room);
    ASSERT_TRUE(count) << count.error().message;
    if (*count == 0) break;
    received.append(room, *count);
  }
  EXPECT_TRUE(received == sent);
}

TEST(Tls, AFlippedBitEndsIt) {
  TestCell cell;
  const auto one = TlsContext::load(cell.files(1), kOne).value(), two = TlsContext::load(cell.files(2), kTwo).value();
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  shake(dialled, accepted);
  ASSERT_TRUE(dialled.write("hello"));
  Bytes wire(dialled.output());
  wire[wire.size() / 2] = static_cast<char>(wire[wire.size() / 2] ^ 1);
  accepted.feed(wire);
  char room[100];
  EXPECT_EQ(accepted.read(room, sizeof room).error().code, Code::Denied);
}

TEST(Tls, AnotherAuthorityIsRefusedByBoth) {
  TestCell cell, other;
  const auto one = TlsContext::load(cell.files(1), kOne).value(), two = TlsContext::load(other.files(2), kTwo).value();
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  const Handshake done = shake(dialled, accepted);
  ASSERT_FALSE(done.dialled);
  EXPECT_THAT(done.dialled.error().message, HasSubstr("the peer's certificate: "));
  EXPECT_FALSE(done.accepted);
}

TEST(Tls, ADiallerWithAnotherAuthorityGetsTheReason) {
  TestCell cell, other;
  // It trusts the cell's authority, but its own certificate is of another.
  TlsFiles mixed = other.files(1);
  mixed.authority = cell.files(9).authority;
  const auto one = TlsContext::load(mixed, kOne).value(), two = TlsContext::load(cell.files(2), kTwo).value();
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  const Handshake done = shake(dialled, accepted);
  ASSERT_FALSE(done.accepted);
  EXPECT_THAT(done.accepted.error().message, HasSubstr("the peer's certificate: "));
  char room[100];
  const auto read = dialled.read(room, sizeof room);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("unknown ca"));
}

TEST(Tls, ExpiredCertificatesAreRefused) {
  TestCell cell;
  TlsFiles files = cell.files(2);
  const auto old = make_node_certificate(cell.authority, kTwo, -1).value();
  files.certificate = cell.write("old.pem", old.certificate);
  files.key = cell.write("old.key", old.key);
  const auto one = TlsContext::load(cell.files(1), kOne).value(), two = TlsContext::load(files, kTwo).value();
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  const Handshake done = shake(dialled, accepted);
  ASSERT_FALSE(done.dialled);
  EXPECT_EQ(done.dialled.error().message, "tls: the peer's certificate: certificate has expired");
}

TEST(Tls, OlderVersionsAreRefused) {
  TestCell cell;
  const auto one = TlsContext::load(cell.files(1), kOne).value(), two = TlsContext::load(cell.files(2), kTwo).value();
  SSL_CTX_set_min_proto_version(one->native(), TLS1_2_VERSION);
  SSL_CTX_set_max_proto_version(one->native(), TLS1_2_VERSION);
  TlsSession dialled(*one, Side::Dialled), accepted(*two, Side::Accepted);
  EXPECT_FALSE(shake(dialled, accepted).accepted);
}

TEST(Tls, SettingsNameTheFileThatWontDo) {
  TestCell cell;
  const TlsFiles good = cell.files(1);
  const auto refused = [](const TlsFiles& files, NodeId id) {
    const auto loaded = TlsContext::load(files, id);
    return loaded ? std::string("loaded") : loaded.error().message;
  };
  EXPECT_EQ(refused(good, kOne), "loaded");
  TlsFiles files = good;
  files.authority = "/nonexistent/ca.pem";
  EXPECT_THAT(refused(files, kOne), HasSubstr("tls authority /nonexistent/ca.pem"));
  files = good;
  files.certificate = good.key;
  EXPECT_THAT(refused(files, kOne), HasSubstr("tls certificate " + good.key));
  files = good;
  files.key = cell.files(2).key;
  EXPECT_THAT(refused(files, kOne), HasSubstr("tls key " + files.key));
  EXPECT_THAT(refused(good, kTwo), HasSubstr("for 'node-1', this is node-2"));
}

// ---- principals ----

/// Whom a server takes the bearer of those files for.
Result<std::string> principal_of(TestCell& cell, const TlsFiles& files) {
  const auto server = TlsContext::load(cell.files(1)).value(), client = TlsContext::load(files).value();
  TlsSession dialled(*client, Side::Dialled), accepted(*server, Side::Accepted);
  const Handshake done = shake(dialled, accepted);
  if (!done.accepted || !*done.accepted) return fail(Code::Io, "no handshake");
  return accepted.principal();
}

TEST(Principal, IsTheCommonNameElseTheOnlyDnsName) {
  TestCell cell;
  EXPECT_EQ(principal_of(cell, cell.client_files("ann")), "ann");
  EXPECT_EQ(principal_of(cell, cell.client_files("Zoë Example, of build 7")), "Zoë Example, of build 7");
  EXPECT_EQ(principal_of(cell, cell.files(7)), "node-7");
  EXPECT_EQ(principal_of(cell, cell.odd_files({}, "DNS:build.example")), "build.example");
  EXPECT_EQ(principal_of(cell, cell.odd_files({"ann"}, "DNS:node-1,DNS:ben")), "ann");
  EXPECT_EQ(principal_of(cell, cell.odd_files({}, "email:ann@example.org,DNS:ann.example")), "ann.example");
}

TEST(Principal, OfADoubtfulCertificateIsNobodys) {
  TestCell cell;
  const std::pair<std::vector<std::string>, std::string> odd[] = {
      {{}, ""},
      {{"ann", "ben"}, ""},
      {{}, "DNS:a.example,DNS:b.example"},
      {{}, "email:ann@example.org"},
      {{std::string("ann\0ben", 7)}, ""},
      {{"ann\nben"}, ""},
      {{"*"}, ""},
      {{"anonymous"}, ""},
      {{}, "DNS:*"},
  };
  for (const auto& [common_names, other_names] : odd) {
    const auto principal = principal_of(cell, cell.odd_files(common_names, other_names));
    ASSERT_FALSE(principal) << *principal;
    EXPECT_EQ(principal.error().code, Code::Denied) << principal.error().message;
  }
}

TEST(Certificates, OfClientsAreForPrincipalsThatAreNoNodes) {
  const auto authority = make_authority("one").value();
  for (const char* name : {"", "*", "anonymous", "node-7", "a\tb"})
    EXPECT_EQ(make_client_certificate(authority, name).error().code, Code::Invalid) << name;
  EXPECT_EQ(make_client_certificate(authority, std::string(65, 'a')).error().code, Code::Invalid);
  for (const std::string name : {"node-", "node-07", "node-0", "node-x", "nodes"})
    EXPECT_TRUE(make_client_certificate(authority, name)) << name;
  EXPECT_TRUE(make_client_certificate(authority, std::string(64, 'a')));
}

TEST(Certificates, NeedAnAuthorityThatFits) {
  const auto one = make_authority("one").value(), other = make_authority("other").value();
  EXPECT_EQ(make_node_certificate({one.certificate, other.key}, kOne).error().code, Code::Invalid);
  EXPECT_EQ(make_node_certificate({"", one.key}, kOne).error().code, Code::Invalid);
  EXPECT_EQ(make_node_certificate({one.certificate, "-----BEGIN"}, kOne).error().code, Code::Invalid);
  EXPECT_NE(make_node_certificate(one, kOne)->key, make_node_certificate(one, kOne)->key);
}

}  // namespace
}  // namespace hailstone::net
