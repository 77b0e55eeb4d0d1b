// SPDX-License-Identifier: GPL-2.0-only
// Errors are values: a function that can fail returns Result<T>.
#pragma once

#include <string>
#include <utility>
#include <variant>

namespace wlb {

struct Error {
    std::string message;
    int code = 0; // errno, 0 if there is none
};

template <class T> class [[nodiscard]] Result {
public:
    // Implicit on purpose: `return value;` and `return Error{...};` both read well.
    Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
    Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

    explicit operator bool() const { return state_.index() == 0; }
    T &operator*() { return std::get<0>(state_); }
    const T &operator*() const { return std::get<0>(state_); }
    T *operator->() { return &std::get<0>(state_); }
    const T *operator->() const { return &std::get<0>(state_); }
    [[nodiscard]] const Error &error() const { return std::get<1>(state_); }

private:
    std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

} // namespace wlb
