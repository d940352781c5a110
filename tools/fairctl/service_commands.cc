#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "lib/intent/checks/check_type.h"
#include "lib/net/address.h"
#include "tools/fairctl/commands.h"
#include "tools/fairctl/field_options.h"
#include "tools/fairctl/format.h"
#include "tools/fairctl/number_check.h"

namespace fairlead::fairctl {
namespace {

// --check-via without a choice.
constexpr const char* kAutomatic = "auto";

struct ServiceOptions {
  std::string name;
  std::vector<std::string> frontends;
  std::vector<std::string> backends;
  Json settings = Json::object();  // by field name
  std::string check_type;
  std::string check_interval;
  std::string check_timeout;
  int rise = 0;
  int fall = 0;
  int check_port = 0;
  std::string check_ports;
  std::string check_via;
  std::string check_frontend;
  // Settings that only some check types have, by name, with the text from the command line.
  std::map<std::string, std::pair<const CheckField*, std::string>> check_settings;
};

void SetText(const char* field, const std::string& value, Json* json) {
  if (!value.empty()) (*json)[field] = value;
}

void SetNumber(const char* field, int value, Json* json) {
  if (value != 0) (*json)[field] = value;
}

// Converts a setting to the JSON type of its kind. fairleadd refuses values of a wrong type.
Json CheckSettingToJson(const CheckField& field, const std::string& text) {
  const bool is_json = field.kind != CheckField::Kind::kText && Json::accept(text);
  return is_json ? Json::parse(text) : Json(text);
}

// "tls.ca_file": "--check-tls-ca-file".
std::string CheckOption(const std::string& name) {
  std::string option = "--check-" + name;
  std::ranges::replace_if(
      option, [](char c) { return c == '.' || c == '_'; }, '-');
  return option;
}

// "tls.ca_file" is the member `ca_file` of the object `tls`.
void SetCheckSetting(const std::string& name, Json value, Json* check) {
  const size_t dot = name.find('.');
  if (dot == std::string::npos) {
    (*check)[name] = std::move(value);
  } else {
    (*check)[name.substr(0, dot)][name.substr(dot + 1)] = std::move(value);
  }
}

// Only the settings on the command line. Others keep their value, or get fairleadd's default.
Json SettingsToJson(const ServiceOptions& options) {
  Json json = options.settings;
  if (!options.frontends.empty()) json["frontends"] = options.frontends;
  Json check = Json::object();
  SetText("type", options.check_type, &check);
  SetText("interval", options.check_interval, &check);
  SetText("timeout", options.check_timeout, &check);
  SetNumber("rise", options.rise, &check);
  SetNumber("fall", options.fall, &check);
  SetNumber("port", options.check_port, &check);
  SetText("ports", options.check_ports, &check);
  SetText("frontend", options.check_frontend, &check);
  if (options.check_via == kAutomatic) {
    check["via"] = nullptr;
  } else {
    SetText("via", options.check_via, &check);
  }
  for (const auto& [name, setting] : options.check_settings) {
    if (setting.second.empty()) continue;
    SetCheckSetting(name, CheckSettingToJson(*setting.first, setting.second), &check);
  }
  if (!check.empty()) json["health_check"] = check;
  return json;
}

// "2/3 healthy"
std::string HealthySummary(const Json& service) {
  size_t healthy = 0;
  const Json& backends = List(Member(service, "backends"));
  for (const Json& backend : backends) {
    const std::string state = TextOf(Member(backend, "state"));
    if (state == "healthy" || state == "unchecked") ++healthy;
  }
  if (backends.empty()) return "none";
  const Json& health = Member(service, "health");
  const std::string below = IsTrue(Member(health, "below_min_healthy"))
                                ? ", below min_healthy " + Shown(Member(health, "min_healthy"))
                                : "";
  return std::to_string(healthy) + "/" + std::to_string(backends.size()) + " healthy" + below;
}

int Add(Context* context, const ServiceOptions& options) {
  Json service = SettingsToJson(options);
  service["name"] = options.name;
  if (!options.backends.empty()) service["backends"] = options.backends;
  const Result<Json> reply = context->Call("POST", "/v1/services", service);
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << "service " << options.name << " added" << InForceText(*reply) << '\n';
  PrintWarnings(context, *reply);
  if (options.backends.empty()) {
    context->out() << "It has no backends yet; add some with: fairctl backend add " << options.name
                   << " ADDRESS\n";
  }
  return kExitOk;
}

int Set(Context* context, const ServiceOptions& options) {
  const Json settings = SettingsToJson(options);
  if (settings.empty()) {
    return context->FailUsage("nothing to set: give an option, such as --drain-timeout 60s");
  }
  const Result<Json> reply = context->Call("PATCH", ServicePath(options.name), settings);
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << "service " << options.name << " changed" << InForceText(*reply) << '\n';
  PrintWarnings(context, *reply);
  return kExitOk;
}

int ListAll(Context* context) {
  const Result<Json> reply = context->Call("GET", "/v1/services");
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  Table table({{"NAME"}, {"FRONTENDS"}, {"FORWARDING"}, {"HASH"}, {"BACKENDS"}});
  for (const Json& service : List(Member(*reply, "services"))) {
    table.Add({Shown(Member(service, "name")), JoinList(Member(service, "frontends"), ", "),
               Shown(Member(service, "forwarding")), Shown(Member(service, "hash")),
               HealthySummary(service)});
  }
  if (table.empty()) {
    context->out() << "No services yet; add one with: fairctl service add NAME --frontend "
                      "ADDRESS:PORT/tcp\n";
    return kExitOk;
  }
  table.Print(context->out(), context->colour());
  return kExitOk;
}

std::string CheckText(const Json& check) {
  if (TextOf(Member(check, "type")) == "none") return "none";
  std::string text = Shown(Member(check, "type"));
  if (Member(check, "port").is_number()) text += " port " + Shown(Member(check, "port"));
  if (TextOf(Member(check, "ports")) == "all") text += " of all TCP ports";
  text += " every " + Shown(Member(check, "interval"));
  for (const char* field : {"timeout", "rise", "fall"}) {
    text += std::string(", ") + field + " " + Shown(Member(check, field));
  }
  constexpr std::string_view kOfEveryType[] = {"type", "interval", "timeout", "rise",    "fall",
                                               "port", "ports",    "via",     "frontend"};
  for (const auto& [name, value] : check.items()) {
    if (std::ranges::count(kOfEveryType, name) != 0) continue;
    if (!value.is_object()) {
      text += ", " + name + " " + Shown(value);
      continue;
    }
    for (const auto& [member, of_group] : value.items()) {
      text += ", " + name + " " + member + " " + Shown(of_group);
    }
  }
  return text;
}

// How the checks reach the backends: "; through the dataplane".
std::string CheckPathText(const Json& service) {
  const Json& path = Member(service, "check_path");
  if (!path.is_object()) return "";
  if (TextOf(Member(path, "via")) == "dataplane") return "; through the dataplane";
  const std::string why = TextOf(Member(path, "reason"));
  return why.empty() ? "; direct" : "; direct: " + why;
}

std::string UnhealthyText(const Json& service) {
  if (TextOf(Member(service, "on_unhealthy")) != "keep") return "release its flows";
  return "keep its flows for " + Shown(Member(service, "keep_unhealthy"));
}

// "30%: 2 of 4 backends; 1 is healthy: below it for 5s, all backends are used"
std::string MinHealthyText(const Json& service, int64_t now_ms) {
  const Json& setting = Member(service, "min_healthy");
  if (setting.is_null() || setting == 0) return "none";
  const Json& health = Member(service, "health");
  std::string text = Shown(Member(health, "min_healthy")) + " of " +
                     Shown(Member(health, "counted")) + " backends";
  if (setting.is_string()) text = TextOf(setting) + ": " + text;
  text += ", " + Shown(Member(health, "healthy")) + " healthy";
  if (!IsTrue(Member(health, "below_min_healthy"))) return text;
  return text + ": below it for " + FormatAge(TextOf(Member(health, "since")), now_ms) + ", " +
         (TextOf(Member(health, "used")) == "all" ? "all backends are used"
                                                  : "no backend gets new flows");
}

std::string OutlierText(const std::string& policy) {
  if (policy == "eject") return "eject backends that leave many handshakes unanswered";
  if (policy == "observe") return "show backends that leave many handshakes unanswered";
  return "not looked for";
}

std::string SlowStartText(const Json& service) {
  const Json& setting = Member(service, "slow_start");
  return setting.is_null() || setting == "0s" ? "none" : Shown(setting);
}

int ShowService(Context* context, const std::string& name) {
  const Result<Json> reply = context->Call("GET", ServicePath(name));
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  const Json& service = *reply;
  const Json& tracking = Member(service, "tracking");
  const Json& idle = Member(service, "idle_timeout");
  const bool fails_open = IsTrue(Member(service, "fail_open"));
  std::ostream& out = context->out();
  out << "name           " << Shown(Member(service, "name")) << '\n'
      << "frontends      " << JoinList(Member(service, "frontends"), ", ") << '\n'
      << "forwarding     " << ForwardingText(service) << '\n'
      << "hash           " << Shown(Member(service, "hash")) << '\n'
      << "tracking       " << (tracking.is_null() ? "tcp adaptive, udp all" : Shown(tracking))
      << '\n'
      << "idle timeout   " << (idle.is_null() ? "tcp 350s, udp 120s" : Shown(idle)) << '\n'
      << "drain timeout  " << Shown(Member(service, "drain_timeout")) << ", then "
      << Shown(Member(service, "on_deadline")) << " the flows that remain\n"
      << "unhealthy      " << UnhealthyText(service) << '\n'
      << "slots          " << SlotsText(Member(service, "slots")) << '\n'
      << "health check   " << CheckText(Member(service, "health_check")) << CheckPathText(service)
      << '\n'
      << "all down       "
      << (fails_open ? "send to all of them (fail open)" : "same as no backend") << '\n'
      << "min healthy    " << MinHealthyText(service, context->environment().now_ms()) << '\n'
      << "slow start     " << SlowStartText(service) << '\n'
      << "no backend     "
      << (TextOf(Member(service, "on_no_backend")) == "reset"
              ? "refuse clients (TCP reset, ICMP port unreachable)"
              : "drop packets")
      << "\noutliers       " << OutlierText(TextOf(Member(service, "outlier"))) << "\n\n";
  PrintBackends(context, Member(service, "backends"));
  return kExitOk;
}

int Remove(Context* context, const std::string& name) {
  const Result<Json> reply = context->Call("DELETE", ServicePath(name));
  if (!reply.ok()) return context->Fail(reply.status());
  if (context->PrintJson(*reply)) return kExitOk;
  context->out() << "service " << name << " removed" << InForceText(*reply) << '\n';
  return kExitOk;
}

void DescribeCheck(CLI::App* command, Context* context, ServiceOptions* options) {
  std::string text;
  std::vector<std::string> types;
  for (const CheckType* type : CheckTypes()) {
    text.append(text.empty() ? "" : " | ").append(type->name);
    types.emplace_back(type->name);
  }
  CLI::Option* check =
      command->add_option("--health-check", options->check_type,
                          text + " (default: tcp; none where all frontends are UDP)");
  context->Offer(check, ValueKind::kWords, std::move(types));
  command->add_option("--check-interval", options->check_interval, "default 2s");
  command->add_option("--check-timeout", options->check_timeout, "default 1s, below the interval");
  command->add_option("--rise", options->rise, "passes to become healthy, default 2")
      ->transform(DecimalNumber(1, 10));
  command->add_option("--fall", options->fall, "failures to become unhealthy, default 3")
      ->transform(DecimalNumber(1, 10));
  command->add_option("--check-port", options->check_port, "default: the frontend's")
      ->transform(DecimalNumber(1, 65535));
  CLI::Option* ports = command->add_option(
      "--check-ports", options->check_ports,
      "first | all: check the first frontend's port, or those of all frontends of the check's "
      "protocol (default first)");
  context->Offer(ports, ValueKind::kWords, {"first", "all"});
  CLI::Option* via = command->add_option(
      "--check-via", options->check_via,
      "dataplane | direct | auto: to the frontend's address through the dataplane, or to the "
      "backend's own; auto (default): through the dataplane where possible");
  context->Offer(via, ValueKind::kWords, {"dataplane", "direct", kAutomatic});
  command->add_option("--check-frontend", options->check_frontend,
                      "the frontend to check through the dataplane, ADDRESS:PORT/tcp or /udp "
                      "(default: the first of the check's protocol)");
  for (const CheckType* type : CheckTypes()) {
    for (const CheckField& field : type->fields) {
      const std::string name(field.name);
      const auto [setting, is_new] = options->check_settings.try_emplace(name, &field, "");
      if (!is_new) continue;
      CLI::Option* option =
          command->add_option(CheckOption(name), setting->second.second, std::string(field.help));
      if (field.kind == CheckField::Kind::kFlag) {
        context->Offer(option, ValueKind::kWords, {"true", "false"});
      } else if (!field.words.empty()) {
        context->Offer(option, ValueKind::kWords, {field.words.begin(), field.words.end()});
      } else if (field.is_ca_file) {
        context->Offer(option, ValueKind::kFiles);
      }
    }
  }
}

// Declares every setting.
void DescribeSettings(CLI::App* command, Context* context, ServiceOptions* options) {
  command
      ->add_option("--frontend", options->frontends,
                   "ADDRESS:PORT/tcp or /udp, [IPV6]:PORT/tcp; PORT may be a range, 8000-8999, or "
                   "0 for any; may be repeated")
      ->allow_extra_args(false)
      ->take_all();
  AddFieldOptions(command, context, ServiceFields(), &options->settings);
  DescribeCheck(command, context, options);
}

void AddServiceAdd(CLI::App* service, Context* context) {
  CLI::App* add = service->add_subcommand("add", "Add a service");
  auto options = std::make_shared<ServiceOptions>();
  add->add_option("name", options->name, "a-z 0-9 . _ -")->required();
  DescribeSettings(add, context, options.get());
  add->get_option("--frontend")->required();
  add->add_option("--backend", options->backends, "ADDRESS of a first backend; may be repeated")
      ->allow_extra_args(false)
      ->take_all();
  add->callback([=] { context->action = [=] { return Add(context, *options); }; });
}

void AddServiceSet(CLI::App* service, Context* context) {
  CLI::App* set = service->add_subcommand(
      "set", "Change settings of a service; its other settings and its backends stay");
  auto options = std::make_shared<ServiceOptions>();
  AddServiceArgument(set, context, &options->name, "name");
  DescribeSettings(set, context, options.get());
  set->callback([=] { context->action = [=] { return Set(context, *options); }; });
}

void AddNamedCommand(CLI::App* service, Context* context, const char* command, const char* what,
                     int (*run)(Context*, const std::string&)) {
  auto name = std::make_shared<std::string>();
  CLI::App* sub = service->add_subcommand(command, what);
  AddServiceArgument(sub, context, name.get(), "name");
  sub->callback([=] { context->action = [=] { return run(context, *name); }; });
}

}  // namespace

void AddServiceCommands(CLI::App* app, Context* context) {
  CLI::App* service = app->add_subcommand("service", "Services: add, list, show, set, remove");
  service->require_subcommand(1);
  AddServiceAdd(service, context);
  AddServiceSet(service, context);
  CLI::App* list = service->add_subcommand("list", "All services");
  list->callback([=] { context->action = [=] { return ListAll(context); }; });
  AddNamedCommand(service, context, "show", "One service and its backends", ShowService);
  AddNamedCommand(service, context, "remove", "Remove a service; its flows end", Remove);
}

}  // namespace fairlead::fairctl
