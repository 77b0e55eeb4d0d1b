// SPDX-License-Identifier: GPL-2.0-only
#include "wccp/security.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>

#include "wccp/codec.h"
#include "wccp/message.h"

namespace wlb::wccp {
namespace {

constexpr std::uint16_t security_type = 0;
constexpr std::size_t option_size = 4;

struct FreeContext {
    void operator()(EVP_MD_CTX *context) const { EVP_MD_CTX_free(context); }
};

// The digest over the message whose digest is the 16 octets at `offset`.
Digest digest_at(View message, std::size_t offset, std::string_view password, DigestForm form)
{
    std::array<std::uint8_t, 9> padded{};
    const std::size_t used = form == DigestForm::nine_octets ? 9 : 8;
    const std::size_t characters = form == DigestForm::seven_characters ? 7 : 8;
    std::copy_n(password.begin(), std::min(password.size(), characters), padded.begin());
    static constexpr Digest zero{};
    Digest digest{};
    unsigned size = 0;
    const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
    const auto before = message.first(offset);
    const auto after = message.subspan(offset + digest.size());
    if (!context || !EVP_DigestInit_ex(context.get(), EVP_md5(), nullptr) ||
        !EVP_DigestUpdate(context.get(), padded.data(), used) ||
        !EVP_DigestUpdate(context.get(), before.data(), before.size()) ||
        !EVP_DigestUpdate(context.get(), zero.data(), zero.size()) ||
        !EVP_DigestUpdate(context.get(), after.data(), after.size()) ||
        !EVP_DigestFinal_ex(context.get(), digest.data(), &size) || size != digest.size())
        digest = zero; // no memory, or a policy that forbids MD5: authenticate() says no to it
    return digest;
}

bool fits(View message, std::size_t offset, std::string_view password, DigestForm form)
{
    const auto digest = digest_at(message, offset, password, form);
    return digest != Digest{} &&
           CRYPTO_memcmp(digest.data(), message.data() + offset, digest.size()) == 0;
}

} // namespace

Digest digest_of(View message, std::string_view password, DigestForm form)
{
    return digest_at(message, digest_offset, password, form);
}

void sign(std::span<std::uint8_t> message, std::string_view password, DigestForm form)
{
    const auto digest = digest_of(message, password, form);
    std::copy(digest.begin(), digest.end(), message.begin() + digest_offset);
}

SecurityInfo security_info(std::string_view password)
{
    SecurityInfo info;
    info.option = password.empty() ? SecurityInfo::none : SecurityInfo::md5;
    return info;
}

Octets sealed(const Message &message, std::string_view password, DigestForm form)
{
    auto octets = serialise(message);
    if (!octets)
        return {};
    if (!password.empty())
        sign(*octets, password, form);
    return std::move(*octets);
}

Authentication authenticate(View message, std::string_view password, bool accept_squid)
{
    const auto component = find_component(message, security_type);
    if (!component || component->size() < option_size)
        return {Verdict::malformed};
    Reader in(*component, "");
    const auto option = in.u32("");
    const bool md5 = option == SecurityInfo::md5;
    if (option > SecurityInfo::md5 ||
        component->size() != option_size + (md5 ? Digest{}.size() : 0))
        return {Verdict::malformed};
    if (md5 == password.empty())
        return {Verdict::unwanted};
    if (!md5)
        return {Verdict::authentic};
    const auto offset = static_cast<std::size_t>(component->data() - message.data()) + option_size;
    for (const auto form :
         {DigestForm::draft, DigestForm::nine_octets, DigestForm::seven_characters}) {
        if (fits(message, offset, password, form))
            return {Verdict::authentic, form};
        if (!accept_squid)
            break;
    }
    return {Verdict::forged};
}

} // namespace wlb::wccp
