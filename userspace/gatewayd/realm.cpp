// SPDX-License-Identifier: GPL-2.0-only
#include "gatewayd/realm.h"

#include "daemon/secret_file.h"

namespace wlb::gatewayd {

Result<std::map<RealmId, registry::GatewayConfig>> realms_of(const Config &config)
{
    std::map<RealmId, registry::GatewayConfig> realms;
    for (const auto &origin : config.origins) {
        if (!origin.registry)
            continue;
        const auto &registry = *origin.registry;
        const RealmId id{registry.listen.value_or(Endpoint()), registry.key_file};
        auto found = realms.find(id);
        if (found == realms.end()) {
            auto keys = daemon::read_keys(registry.key_file);
            if (!keys)
                return Error{"origin " + origin.name + ": " + keys.error().message,
                             keys.error().code};
            registry::GatewayConfig realm;
            realm.keys = std::move(*keys);
            realm.interval = registry.interval;
            realm.port = id.first.port;
            found = realms.emplace(id, std::move(realm)).first;
        }
        registry::GatewayOrigin own;
        own.name = origin.name;
        own.servers = origin.servers;
        own.ports = origin.ports;
        own.permitted = registry.replicas;
        own.any = registry.any_replica;
        own.max = static_cast<std::size_t>(registry.max);
        own.configured = origin.replicas;
        found->second.origins.push_back(std::move(own));
    }
    return realms;
}

} // namespace wlb::gatewayd
