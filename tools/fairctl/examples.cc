#include "tools/fairctl/examples.h"

namespace fairlead::fairctl {
namespace {

constexpr CommandExample kExamples[] = {
    {"backend", "fairctl backend list web"},
    {"backend add", "fairctl backend add web 10.0.0.11 10.0.0.12 --weight 2"},
    {"backend drain", "fairctl backend drain web 10.0.0.11 --wait && ssh 10.0.0.11 poweroff"},
    {"backend list", "fairctl backend list web"},
    {"backend remove", "fairctl backend remove web 10.0.0.11"},
    {"backend set", "fairctl backend set web 10.0.0.11 --mac 02:00:00:00:0b:01 --vlan 20"},
    {"backend undrain", "fairctl backend undrain web 10.0.0.11"},
    {"backend weight", "fairctl backend weight web 10.0.0.11 0"},
    {"completion", "fairctl completion bash > /etc/bash_completion.d/fairctl"},
    {"dataplane", "fairctl dataplane restart"},
    {"dataplane restart", "fairctl dataplane restart"},
    {"explain", "fairctl explain tcp 198.51.100.7:40000 203.0.113.10:80"},
    {"seed", "fairctl seed show"},
    {"seed set", "fairctl seed set 42"},
    {"seed show", "fairctl seed show"},
    {"service", "fairctl service show web"},
    {"service add",
     "fairctl service add web --frontend 203.0.113.10:80/tcp --backend 10.0.0.11 --backend "
     "10.0.0.12"},
    {"service list", "fairctl service list"},
    {"service remove", "fairctl service remove web"},
    {"service set", "fairctl service set web --check-interval 1s --fall 2"},
    {"service show", "fairctl service show web"},
    {"snapshot", "fairctl snapshot show /run/fairlead/dataplane.snapshot"},
    {"snapshot build", "fairctl snapshot build services.yaml -o web.snapshot"},
    {"snapshot show", "fairctl snapshot show /run/fairlead/dataplane.snapshot"},
    {"stats", "fairctl stats --watch"},
    {"status", "fairctl status"},
    {"store", "fairctl store backup /var/backups/fairlead.db"},
    {"store backup", "fairctl store backup /var/backups/fairlead.db"},
    {"watch", "fairctl watch"},
};

}  // namespace

std::span<const CommandExample> CommandExamples() { return kExamples; }

}  // namespace fairlead::fairctl
