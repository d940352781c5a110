// The settings of the check types http, https, udp and grpc: in JSON, their rules, their ports, and
// the reasons of failed probes.
#include <cerrno>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <gmock/gmock.h>

#include "lib/intent/checks/check_failure.h"
#include "lib/intent/checks/check_ports.h"
#include "lib/intent/checks/grpc_settings.h"
#include "lib/intent/checks/http_settings.h"
#include "lib/intent/checks/udp_settings.h"
#include "lib/intent/json.h"

namespace fairlead {
namespace {

using Json = nlohmann::json;
using ::testing::HasSubstr;

Json ServiceChecking(const std::string& check,
                     const std::string& frontends = R"("203.0.113.1:80/tcp")") {
  return Json::parse(R"({"name": "web", "backends": ["10.0.0.1"], "frontends": [)" + frontends +
                     R"(], "health_check": )" + check + "}");
}

ServiceSpec CheckedService(const std::string& check,
                           const std::string& frontends = R"("203.0.113.1:80/tcp")") {
  const Result<ServiceSpec> service = ServiceFromJson(ServiceChecking(check, frontends));
  EXPECT_TRUE(service.ok()) << service.status().message();
  return service.ok() ? *service : ServiceSpec();
}

// The message of the first rule that the service breaks.
std::string CheckRefusal(const Json& json) {
  const Result<ServiceSpec> service = ServiceFromJson(json);
  if (!service.ok()) return service.status().message();
  const Status valid = ValidateService(*service);
  return valid.ok() ? ValidateNewService(*service, "").message() : valid.message();
}

IpAddress ProbedAddress(const std::string& text) { return IpAddress::Parse(text).value(); }

struct RefusedCheck {
  const char* check;
  const char* message;
};

TEST(CheckTypeSettings, BadValuesAreRefusedWithFieldValueAndRemedy) {
  const std::string long_text(513, 'x');
  const std::string long_send = R"({"type": "udp", "send": ")" + long_text + R"("})";
  const std::string long_hex = R"({"type": "udp", "send": "hex:)" + long_text + long_text + R"("})";
  const RefusedCheck refused[] = {
      {R"({"type": "http", "path": "health"})", "health_check.path: health does not start with /"},
      {R"({"type": "http", "path": "/a b"})",
       "health_check.path: /a b has a character that a path cannot have; write it as %"},
      {R"({"type": "http", "path": "/#top"})", "health_check.path: /#top has a character"},
      {R"({"type": "http", "path": "/\r\nX: y"})", "is not printable"},
      {R"({"type": "http", "codes": "200-"})",
       "health_check.codes: 200- is not a list of up to 32 status codes from 100 to 599, such as "
       "200-399 or 200,301-302"},
      {R"({"type": "http", "codes": ""})", "health_check.codes:  is not a list"},
      {R"({"type": "http", "codes": "399-200"})", "health_check.codes: 399-200 is not a list"},
      {R"({"type": "http", "codes": "200,,201"})", "health_check.codes: 200,,201 is not a list"},
      {R"({"type": "http", "codes": "600"})", "health_check.codes: 600 is not a list"},
      {R"({"type": "http", "codes": 200})", "health_check.codes: 200 is not text"},
      {R"({"type": "http", "method": "POST"})",
       "health_check.method: POST is not one of GET | HEAD"},
      {R"({"type": "http", "method": "HEAD", "match": "ok"})",
       "health_check.match: ok needs method: GET, since the answer to HEAD has no body"},
      {R"({"type": "http", "host": "a b"})",
       "health_check.host: a b is not a host, such as www.example.com"},
      {R"({"type": "http", "tls": {"verify": "none"}})",
       "belongs to an unknown field; health_check has"},
      {R"({"type": "https", "tls": "none"})", R"(health_check.tls: "none" is not an object)"},
      {R"({"type": "https", "tls": {"verify": "no"}})",
       "health_check.tls.verify: no is not one of full | chain | none"},
      {R"({"type": "https", "tls": {"sni": "a:443"}})",
       "health_check.tls.sni: a:443 is not the name of a host"},
      {R"({"type": "https", "tls": {"ca_file": "ca.pem"}})",
       "health_check.tls.ca_file: ca.pem is not an absolute path, such as /etc/ssl"},
      {R"({"type": "https", "tls": {"enabled": true}})",
       "health_check.tls.enabled: true belongs to an unknown field; tls has verify sni ca_file"},
      {R"({"type": "udp", "port": 53})",
       "health_check.send: missing: a UDP check needs the bytes to send"},
      {R"({"type": "udp", "port": 53, "send": "hex:0"})",
       "health_check.send: hex:0 is not text of up to 512 bytes, or hex:"},
      {R"({"type": "udp", "port": 53, "send": "hex:0g"})", "health_check.send: hex:0g is not"},
      {R"({"type": "udp", "port": 53, "send": "hex:"})", "health_check.send: hex: is not"},
      {R"({"type": "udp", "port": 53, "send": "a", "reply": "hex:zz"})",
       "health_check.reply: hex:zz is not"},
      {long_send.c_str(), "is not text of up to 512 bytes"},
      {long_hex.c_str(), "is not text of up to 512 bytes"},
      {R"({"type": "udp", "send": "a"})",
       "health_check.port: missing: a UDP check of a service with TCP frontends only needs the "
       "port "
       "of a UDP server on the backends"},
      {R"({"type": "grpc", "tls": {"sni": "a"}})",
       "health_check.tls.sni: a needs tls.enabled: true"},
      {R"({"type": "grpc", "tls": {"enabled": "yes"}})",
       "health_check.tls.enabled: \"yes\" is neither true nor false"},
  };
  for (const RefusedCheck& each : refused) {
    EXPECT_THAT(CheckRefusal(ServiceChecking(each.check)), HasSubstr(each.message)) << each.check;
  }
}

TEST(CheckTypeSettings, NestedSettingsAreReadAndWritten) {
  const ServiceSpec spec = CheckedService(
      R"({"type": "https", "path": "/up", "tls": {"verify": "chain", "ca_file": "/etc/ca.pem"}})");
  const Json check = ServiceToJson(spec)["health_check"];
  EXPECT_EQ(check["path"], "/up");
  EXPECT_EQ(check["codes"], "200-399");
  EXPECT_EQ(check["method"], "GET");
  EXPECT_EQ(check["tls"], (Json{{"verify", "chain"}, {"ca_file", "/etc/ca.pem"}}));
  EXPECT_FALSE(check.contains("match"));
  EXPECT_EQ(*ServiceFromJson(ServiceToJson(spec)), spec);
}

TEST(CheckTypeSettings, EveryTypeSurvivesJson) {
  const char* checks[] = {
      R"({"type": "http", "path": "/x", "codes": "204", "match": "ok", "host": "h:8080"})",
      R"({"type": "https", "method": "HEAD", "tls": {"sni": "h", "verify": "none"}})",
      R"({"type": "udp", "port": 9, "send": "hex:00ff", "reply": "pong"})",
      R"({"type": "grpc", "service": "shop.Cart", "tls": {"enabled": true, "sni": "h"}})"};
  for (const char* check : checks) {
    const Json written = ServiceToJson(CheckedService(check))["health_check"];
    const Json given = Json::parse(check);
    for (const auto& [name, value] : given.items()) {
      if (name == "tls") continue;
      EXPECT_EQ(written[name], value) << check;
    }
    EXPECT_EQ(ServiceToJson(CheckedService(written.dump()))["health_check"], written);
  }
}

TEST(CheckTypeSettings, StatusRanges) {
  const auto ranges = ParseStatusRanges("200,301-302");
  ASSERT_TRUE(ranges.ok());
  EXPECT_EQ(*ranges, (std::vector<StatusRange>{{200, 200}, {301, 302}}));
  EXPECT_TRUE(HasStatus(*ranges, 302));
  EXPECT_FALSE(HasStatus(*ranges, 303));
  EXPECT_FALSE(HasStatus(*ranges, 201));
}

TEST(CheckTypeSettings, TheHostDefaultsToTheAddressProbed) {
  const CheckSettings settings = DefaultCheckSettings(kHttpCheck);
  const auto host = [&](const CheckType& type, const char* address, uint16_t port) {
    return ReadHttpSettings(type, DefaultCheckSettings(type), ProbedAddress(address), port).host;
  };
  EXPECT_EQ(host(kHttpCheck, "10.0.0.1", 80), "10.0.0.1");
  EXPECT_EQ(host(kHttpCheck, "2001:db8::1", 8080), "[2001:db8::1]:8080");
  EXPECT_EQ(host(kHttpsCheck, "10.0.0.1", 443), "10.0.0.1");
  EXPECT_EQ(host(kHttpsCheck, "10.0.0.1", 80), "10.0.0.1:80");
  EXPECT_EQ(HostName("www.example.com:8080"), "www.example.com");
  EXPECT_EQ(HostName("[2001:db8::1]:8080"), "2001:db8::1");
  EXPECT_EQ(HostName("2001:db8::1"), "2001:db8::1");
  EXPECT_EQ(ReadGrpcSettings(DefaultCheckSettings(kGrpcCheck), ProbedAddress("10.0.0.1"), 50051)
                .authority,
            "10.0.0.1:50051");
}

TEST(CheckTypeSettings, UdpPayloads) {
  EXPECT_EQ(*ParseUdpPayload("ping"), "ping");
  EXPECT_EQ(*ParseUdpPayload("hex:00fF0a"), std::string("\x00\xff\x0a", 3));
  EXPECT_EQ(*ParseUdpPayload(std::string(512, 'x')), std::string(512, 'x'));
  EXPECT_FALSE(ParseUdpPayload(std::string(513, 'x')).ok());
}

TEST(CheckTypePorts, AreThoseOfTheChecksProtocol) {
  const std::string frontends =
      R"("203.0.113.1:53/udp", "203.0.113.1:443/tcp", "203.0.113.1:123/udp", "203.0.113.1:80/tcp")";
  const auto ports = [&](const std::string& check) {
    const ServiceSpec service = CheckedService(check, frontends);
    return CheckPorts(service, service.backends[0]);
  };
  EXPECT_EQ(ports(R"({"type": "udp", "send": "x"})"), std::vector<uint16_t>{53});
  EXPECT_EQ(ports(R"({"type": "udp", "send": "x", "ports": "all"})"),
            (std::vector<uint16_t>{53, 123}));
  EXPECT_EQ(ports(R"({"type": "http"})"), std::vector<uint16_t>{443});
  EXPECT_EQ(ports(R"({"type": "tcp"})"), std::vector<uint16_t>{443});
  EXPECT_EQ(ports(R"({"type": "grpc", "ports": "all"})"), (std::vector<uint16_t>{80, 443}));
  EXPECT_EQ(ports(R"({"type": "https", "port": 9})"), std::vector<uint16_t>{9});
}

TEST(CheckTypePorts, AnAnyPortFrontendOfTheProtocolNeedsAPort) {
  const std::string frontends = R"("203.0.113.1:0/udp", "203.0.113.1:80/tcp")";
  EXPECT_EQ(CheckRefusal(ServiceChecking(R"({"type": "http"})", frontends)), "");
  EXPECT_THAT(CheckRefusal(ServiceChecking(R"({"type": "udp", "send": "x"})", frontends)),
              HasSubstr("health_check.port: missing: the first frontend, 203.0.113.1:0/udp, is for "
                        "any port; set the port to check"));
}

std::string CheckText(const CheckType& type, int32_t detail, const std::string& check) {
  const CheckSettings settings = CheckedService(check).health_check.settings;
  return type.failure_text({detail, settings, ProbedAddress("10.0.0.1")});
}

TEST(CheckFailures, AreNumbersThatBecomeText) {
  const auto http = [](CheckFailure kind, uint32_t value = 0) {
    return CheckText(kHttpCheck, EncodeFailure(kind, value), R"({"type": "http"})");
  };
  EXPECT_EQ(http(CheckFailure::kErrno, ECONNREFUSED), "Connection refused");
  EXPECT_EQ(http(CheckFailure::kHttpStatus, 503), "HTTP status 503 is not in codes");
  EXPECT_EQ(http(CheckFailure::kHttpStatus, 302),
            "HTTP status 302 is not in codes; redirects are not followed");
  EXPECT_EQ(http(CheckFailure::kNoMatch), "the body does not hold the text of match");
  EXPECT_TRUE(kHttpCheck.is_refused(ECONNREFUSED));
  EXPECT_FALSE(kHttpCheck.is_refused(EncodeFailure(CheckFailure::kHttpStatus, ECONNREFUSED)));
}

TEST(CheckFailures, OfTlsNameHostDepthAndOpenSslsText) {
  OPENSSL_init_ssl(OPENSSL_INIT_LOAD_SSL_STRINGS, nullptr);
  const char* check = R"({"type": "https", "tls": {"sni": "shop.example"}})";
  EXPECT_EQ(
      CheckText(kHttpsCheck,
                EncodeFailure(CheckFailure::kTlsVerify, 1 << 16 | X509_V_ERR_CERT_HAS_EXPIRED),
                check),
      "the certificate of shop.example is refused at depth 1: certificate has expired");
  EXPECT_EQ(
      CheckText(kHttpsCheck, EncodeFailure(CheckFailure::kTlsVerify, X509_V_ERR_HOSTNAME_MISMATCH),
                R"({"type": "https"})"),
      "the certificate of 10.0.0.1 is refused at depth 0: hostname mismatch");
  EXPECT_EQ(CheckText(kHttpsCheck,
                      EncodeFailure(CheckFailure::kTlsError, SSL_R_WRONG_VERSION_NUMBER), check),
            "the TLS handshake with shop.example failed: wrong version number");
}

TEST(CheckFailures, OfGrpcNameTheService) {
  const auto grpc = [](CheckFailure kind, uint32_t value = 0) {
    return CheckText(kGrpcCheck, EncodeFailure(kind, value),
                     R"({"type": "grpc", "service": "cart"})");
  };
  EXPECT_EQ(grpc(CheckFailure::kGrpcStatus, 12),
            "the server has no health service (UNIMPLEMENTED)");
  EXPECT_EQ(grpc(CheckFailure::kGrpcStatus, 5),
            "the server does not know service \"cart\" (NOT_FOUND)");
  EXPECT_EQ(grpc(CheckFailure::kGrpcStatus, 14), "gRPC status 14 (UNAVAILABLE)");
  EXPECT_EQ(grpc(CheckFailure::kNotServing, 2), "service \"cart\" is NOT_SERVING");
  EXPECT_EQ(grpc(CheckFailure::kHttp2Error, 11),
            "the server ended the HTTP/2 connection or stream (ENHANCE_YOUR_CALM)");
}

}  // namespace
}  // namespace fairlead
