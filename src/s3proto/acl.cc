#include "s3proto/acl.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "http/grammar.h"

namespace hailstone::s3proto {
namespace {

struct PermissionRow {
  Permission permission;
  std::string_view name, header;
};
constexpr std::array<PermissionRow, 5> kPermissions{{
    {Permission::Read, "READ", "x-amz-grant-read"},
    {Permission::Write, "WRITE", "x-amz-grant-write"},
    {Permission::ReadAcp, "READ_ACP", "x-amz-grant-read-acp"},
    {Permission::WriteAcp, "WRITE_ACP", "x-amz-grant-write-acp"},
    {Permission::FullControl, "FULL_CONTROL", "x-amz-grant-full-control"},
}};

std::string_view group_uri(GranteeKind kind) {
  switch (kind) {
    case GranteeKind::AllUsers: return "http://acs.amazonaws.com/groups/global/AllUsers";
    case GranteeKind::AuthenticatedUsers: return "http://acs.amazonaws.com/groups/global/AuthenticatedUsers";
    case GranteeKind::LogDelivery: return "http://acs.amazonaws.com/groups/s3/LogDelivery";
    case GranteeKind::User: break;
  }
  return {};
}

Parsed<Grantee> group(std::string_view uri) {
  for (GranteeKind kind : {GranteeKind::AllUsers, GranteeKind::AuthenticatedUsers, GranteeKind::LogDelivery})
    if (uri == group_uri(kind)) return Grantee{kind, "", ""};
  return refuse(ErrorCode::InvalidArgument, fmt::format("Invalid group uri: '{}'", printable(uri)));
}

// Every refusal of the document's shape is MalformedACLError here.
template <class T>
Parsed<T> as_acl(Parsed<T> parsed) {
  if (!parsed && parsed.error().code == ErrorCode::MalformedXML) parsed.error().code = ErrorCode::MalformedACLError;
  return parsed;
}

Parsed<Owner> parse_owner(const XmlElement& element) {
  TRY_DO(element.only({"ID", "DisplayName"}));
  Owner owner;
  TRY(owner.id, element.required_text("ID"));
  TRY(const auto name, element.optional_text("DisplayName"));
  owner.display_name = name.value_or("");
  return owner;
}

Parsed<Grantee> parse_grantee(const XmlElement& element) {
  if (!element.all("EmailAddress").empty()) return refuse(ErrorCode::UnresolvableGrantByEmailAddress);
  TRY_DO(element.only({"ID", "DisplayName", "URI"}));
  TRY(const auto uri, element.optional_text("URI"));
  const auto type = element.attribute("type");
  if (type && *type != "Group" && *type != "CanonicalUser")
    return malformed_xml(fmt::format("Grantee: type '{}' is unknown", printable(*type)));
  if (type && (*type == "Group") != uri.has_value()) return malformed_xml("Grantee: URI and type don't agree");
  if (uri) return group(*uri);
  TRY(Owner user, parse_owner(element));
  if (user.id.empty()) return malformed_xml("Grantee: ID is empty");
  return Grantee{GranteeKind::User, std::move(user.id), std::move(user.display_name)};
}

Parsed<Permission> parse_permission(std::string_view text) {
  for (const auto& row : kPermissions)
    if (row.name == text) return row.permission;
  return malformed_xml(fmt::format("Permission: '{}' is unknown", printable(text)));
}

Parsed<AccessControlList> parse_document(ByteView body) {
  TRY(const XmlDocument document, XmlDocument::parse(body, "AccessControlPolicy"));
  const XmlElement& root = document.root();
  TRY_DO(root.only({"Owner", "AccessControlList"}));
  AccessControlList acl;
  TRY(const XmlElement* owner, root.one("Owner"));
  TRY(acl.owner, parse_owner(*owner));
  TRY(const XmlElement* list, root.one("AccessControlList"));
  TRY_DO(list->only({"Grant"}));
  if (list->children().size() > kGrantsMax)
    return malformed_xml(fmt::format("AccessControlList: more than {} grants", kGrantsMax));
  for (const XmlElement& element : list->children()) {
    TRY_DO(element.only({"Grantee", "Permission"}));
    Grant grant;
    TRY(const XmlElement* grantee, element.one("Grantee"));
    TRY(grant.grantee, parse_grantee(*grantee));
    TRY(const XmlElement* permission, element.one("Permission"));
    TRY(grant.permission, parse_permission(permission->trimmed()));
    acl.grants.push_back(std::move(grant));
  }
  return acl;
}

}  // namespace

Parsed<AccessControlList> parse_acl(ByteView body) { return as_acl(parse_document(body)); }

Bytes render_acl(const AccessControlList& acl) {
  Bytes out;
  XmlWriter xml(out);
  xml.open_root("AccessControlPolicy");
  append_owner(xml, "Owner", acl.owner);
  xml.open("AccessControlList");
  for (const Grant& grant : acl.grants) {
    const bool user = grant.grantee.kind == GranteeKind::User;
    xml.open("Grant");
    xml.open_with("Grantee", user ? "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\""
                                  : "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"Group\"");
    if (user) {
      xml.text("ID", grant.grantee.id);
      xml.text_if("DisplayName", grant.grantee.display_name);
    } else {
      xml.literal("URI", group_uri(grant.grantee.kind));
    }
    xml.close("Grantee");
    xml.literal("Permission", kPermissions[static_cast<size_t>(grant.permission)].name);
    xml.close("Grant");
  }
  xml.close("AccessControlList");
  xml.close("AccessControlPolicy");
  return out;
}

Parsed<AccessControlList> canned_acl(std::string_view name, const Owner& owner, const Owner& bucket_owner) {
  const auto user = [](const Owner& who) { return Grantee{GranteeKind::User, who.id, who.display_name}; };
  const auto all = [](GranteeKind kind) { return Grantee{kind, "", ""}; };
  AccessControlList acl{owner, {{user(owner), Permission::FullControl}}};
  if (name == "private") return acl;
  if (name == "public-read" || name == "public-read-write") {
    acl.grants.push_back({all(GranteeKind::AllUsers), Permission::Read});
    if (name == "public-read-write") acl.grants.push_back({all(GranteeKind::AllUsers), Permission::Write});
  } else if (name == "authenticated-read") {
    acl.grants.push_back({all(GranteeKind::AuthenticatedUsers), Permission::Read});
  } else if (name == "bucket-owner-read" || name == "bucket-owner-full-control") {
    if (bucket_owner.id != owner.id)
      acl.grants.push_back(
          {user(bucket_owner), name == "bucket-owner-read" ? Permission::Read : Permission::FullControl});
  } else if (name == "log-delivery-write") {
    acl.grants.push_back({all(GranteeKind::LogDelivery), Permission::Write});
    acl.grants.push_back({all(GranteeKind::LogDelivery), Permission::ReadAcp});
  } else {
    return refuse(ErrorCode::InvalidArgument, fmt::format("Invalid canned ACL: '{}'", printable(name)),
                  {{"ArgumentName", "x-amz-acl"}, {"ArgumentValue", printable(name)}});
  }
  return acl;
}

std::optional<Permission> grant_header(std::string_view header_name) {
  for (const auto& row : kPermissions)
    if (http::same_text(header_name, row.header)) return row.permission;
  return std::nullopt;
}

Parsed<void> parse_grants(std::string_view value, Permission permission, std::vector<Grant>& out) {
  std::string_view element;
  while (http::next_element(value, element)) {
    const size_t equals = element.find('=');
    std::string_view kind = http::trim(element.substr(0, equals));
    std::string_view who = equals == element.npos ? std::string_view() : http::trim(element.substr(equals + 1));
    if (who.size() >= 2 && who.front() == '"' && who.back() == '"') who = who.substr(1, who.size() - 2);
    if (http::same_text(kind, "emailAddress")) return refuse(ErrorCode::UnresolvableGrantByEmailAddress);
    if (http::same_text(kind, "uri")) {
      TRY(Grantee grantee, group(who));
      out.push_back({std::move(grantee), permission});
    } else if (http::same_text(kind, "id") && !who.empty()) {
      out.push_back({{GranteeKind::User, std::string(who), ""}, permission});
    } else {
      return refuse(ErrorCode::InvalidArgument,
                    fmt::format("Argument format not recognized: '{}'", printable(element)));
    }
    if (out.size() > kGrantsMax)
      return refuse(ErrorCode::InvalidArgument, fmt::format("more than {} grants", kGrantsMax));
  }
  return {};
}

bool acl_allows(const AccessControlList& acl, std::string_view id, Permission permission) {
  return std::ranges::any_of(acl.grants, [&](const Grant& grant) {
    if (grant.permission != permission && grant.permission != Permission::FullControl) return false;
    switch (grant.grantee.kind) {
      case GranteeKind::User: return !id.empty() && grant.grantee.id == id;
      case GranteeKind::AllUsers: return true;
      case GranteeKind::AuthenticatedUsers: return !id.empty();
      case GranteeKind::LogDelivery: return false;
    }
    return false;
  });
}

}  // namespace hailstone::s3proto
