// SPDX-License-Identifier: GPL-2.0-only
#include "registry/keys.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <algorithm>
#include <charconv>
#include <memory>
#include <string>

namespace wlb::registry {

namespace {

constexpr std::size_t most_keys = 16;
constexpr std::size_t shortest = 16; // octets of a secret
constexpr std::size_t longest = 128;

struct FreeMac {
    void operator()(EVP_MAC *mac) const { EVP_MAC_free(mac); }
};
struct FreeContext {
    void operator()(EVP_MAC_CTX *context) const { EVP_MAC_CTX_free(context); }
};

// Looked up once: it takes longer than a MAC, and replicas are measured while they compute it.
EVP_MAC *hmac()
{
    static const std::unique_ptr<EVP_MAC, FreeMac> mac(EVP_MAC_fetch(nullptr, "HMAC", nullptr));
    return mac.get();
}

int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

Octets secret_of(std::string_view word)
{
    const bool hex = word.size() >= 2 * shortest && word.size() % 2 == 0 &&
                     std::all_of(word.begin(), word.end(), [](char c) { return digit(c) >= 0; });
    if (!hex)
        return {word.begin(), word.end()};
    Octets secret;
    for (std::size_t i = 0; i < word.size(); i += 2)
        secret.push_back(static_cast<std::uint8_t>(digit(word[i]) << 4 | digit(word[i + 1])));
    return secret;
}

std::string_view trimmed(std::string_view line)
{
    constexpr auto blanks = " \t\r";
    const auto first = line.find_first_not_of(blanks);
    if (first == line.npos)
        return {};
    return line.substr(first, line.find_last_not_of(blanks) - first + 1);
}

Result<Key> parse_key(std::string_view line)
{
    const auto end = std::min(line.find_first_of(" \t"), line.size());
    Key key;
    const auto [stop, error] = std::from_chars(line.data(), line.data() + end, key.id);
    if (error != std::errc{} || stop != line.data() + end)
        return Error{"must begin with the key's number, 0..4294967295"};
    const auto word = trimmed(line.substr(end));
    if (word.find_first_of(" \t") != word.npos)
        return Error{"has more than a number and a secret"};
    key.secret = secret_of(word);
    if (key.secret.size() < shortest || key.secret.size() > longest)
        return Error{"a secret has 16..128 octets; this has " + std::to_string(key.secret.size())};
    return key;
}

} // namespace

Result<Keys> Keys::parse(std::string_view text)
{
    Keys keys;
    for (std::size_t number = 1; !text.empty(); ++number) {
        const auto end = std::min(text.find('\n'), text.size());
        const auto line = trimmed(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
        if (line.empty() || line.front() == '#')
            continue;
        const auto where = "line " + std::to_string(number) + ": ";
        auto key = parse_key(line);
        if (!key)
            return Error{where + key.error().message};
        if (keys.find(key->id) != nullptr)
            return Error{where + "key " + std::to_string(key->id) + " is there twice"};
        if (keys.keys_.size() == most_keys)
            return Error{where + "at most 16 keys"};
        keys.keys_.push_back(std::move(*key));
    }
    if (keys.keys_.empty())
        return Error{"there is no key in it: lines of a number and a secret"};
    return keys;
}

const Key *Keys::find(std::uint32_t id) const
{
    const auto found =
        std::find_if(keys_.begin(), keys_.end(), [&](const Key &key) { return key.id == id; });
    return found == keys_.end() ? nullptr : &*found;
}

Mac mac_of(View octets, std::uint8_t direction, const Key &key)
{
    Mac mac{};
    std::array<char, 7> digest{"SHA256"};
    const std::array<OSSL_PARAM, 2> params{
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), 0),
        OSSL_PARAM_construct_end()};
    const std::unique_ptr<EVP_MAC_CTX, FreeContext> context(EVP_MAC_CTX_new(hmac()));
    std::size_t size = 0;
    if (!context ||
        EVP_MAC_init(context.get(), key.secret.data(), key.secret.size(), params.data()) != 1 ||
        EVP_MAC_update(context.get(), octets.data(), octets.size()) != 1 ||
        EVP_MAC_update(context.get(), &direction, 1) != 1 ||
        EVP_MAC_final(context.get(), mac.data(), &size, mac.size()) != 1 || size != mac.size())
        return {};
    return mac;
}

bool same(const Mac &mac, View octets)
{
    return mac != Mac{} && octets.size() == mac.size() &&
           CRYPTO_memcmp(mac.data(), octets.data(), mac.size()) == 0;
}

} // namespace wlb::registry
