// SPDX-License-Identifier: GPL-2.0-only
#include "daemon/page.h"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

// page_html.S
extern const char wlb_page_html[];
extern const char wlb_page_html_end[];

namespace wlb::daemon {

namespace {

// As a browser computes it: of all that is between the tags.
std::string hash_of(std::string_view html, const std::string &element)
{
    const auto begin = html.find("<" + element + ">");
    const auto end = html.find("</" + element + ">");
    if (begin == std::string_view::npos || end == std::string_view::npos)
        return "'none'";
    const auto start = begin + element.size() + 2;
    const auto text = html.substr(start, end - start);
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1)
        throw std::runtime_error("no SHA-256");
    std::array<unsigned char, std::size_t{2} * EVP_MAX_MD_SIZE> base64{};
    EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
    return std::string("'sha256-") + reinterpret_cast<const char *>(base64.data()) + "'";
}

} // namespace

std::string policy_of(std::string_view html)
{
    return "default-src 'none'; script-src " + hash_of(html, "script") + "; style-src " +
           hash_of(html, "style") +
           "; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
}

HttpPage status_page()
{
    static const auto html = std::make_shared<const std::string>(wlb_page_html, wlb_page_html_end);
    static const auto policy = policy_of(*html);
    return {"text/html; charset=utf-8", html, policy};
}

} // namespace wlb::daemon
