// SPDX-License-Identifier: GPL-2.0-only
// What the validation of every role needs: where a fault is, and checks that several
// roles have.
#pragma once

#include <string>
#include <vector>

#include "wlb/address.h"
#include "wlb/duration.h"
#include "wlb/group.h"
#include "wlb/validate.h"

namespace wlb {

std::string at(const std::string &list, std::size_t index);

// One object of the configuration: where it is and how messages call it.
struct Subject {
    std::string path;
    std::string title;

    [[nodiscard]] std::string key(const std::string &name) const { return path + "." + name; }
};

class Checks {
public:
    void add(std::string path, std::string message);
    void add(const Subject &subject, const std::string &key, const std::string &message);

    template <class List>
    void limit(const Subject &subject, const std::string &key, const List &list, std::size_t most)
    {
        if (list.size() > most)
            add(subject, at(key, most), key + " has more than " + std::to_string(most) + " items");
    }

    void name(const Subject &subject, const std::string &name);
    void range(const Subject &subject, const std::string &key, std::int64_t value,
               std::int64_t least, std::int64_t most);
    void period(const Subject &subject, const std::string &key, microseconds value,
                microseconds least, microseconds most);
    void prefixes(const Subject &subject, const std::string &key, const std::vector<Prefix> &list);
    void prefix(const Subject &subject, const std::string &key, const std::string &label,
                const Prefix &prefix);
    void interface(const Subject &subject, const std::string &key, const std::string &label,
                   const std::string &name);
    void interfaces(const Subject &subject, const std::string &key,
                    const std::vector<std::string> &list);
    void host(const Subject &subject, const std::string &key, const std::string &label,
              const Address &address);
    // The family of `model`, which is the `role`'s address.
    void family(const Subject &subject, const std::string &key, const std::string &label,
                const Address &address, const std::string &role, const Address &model);
    void multicast(const Subject &subject, const std::string &key, const Address &address);
    void absolute(const Subject &subject, const std::string &key, const std::string &path);
    void methods(const Subject &subject, const std::string &key, bool empty);
    void rules(const Subject &subject, const std::string &key,
               const std::vector<RedirectRule> &list);

    std::vector<Problem> take_problems() { return std::move(problems_); }

private:
    std::vector<Problem> problems_;
};

} // namespace wlb
