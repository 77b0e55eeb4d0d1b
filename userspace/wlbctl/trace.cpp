// SPDX-License-Identifier: GPL-2.0-only
// What the module's tracepoints tell, as it happens: by an instance of tracefs of our own, so
// that nobody else's tracing is touched.
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility> // which Boost 1.74 forgets

#include <boost/asio.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "wlb/netns.h"
#include "wlbctl/objects.h"
#include "wlbctl/options.h"
#include "wlbctl/trace_line.h"

namespace wlb::cli {

namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;

const fs::path tracefs = "/sys/kernel/tracing";
constexpr const char *event_names = "answer|clone_in|clone_out|flow_end|redirect|syn";

Error failure(const std::string &what)
{
    return {what + ": " + std::strerror(errno), errno};
}

std::int64_t now(clockid_t clock)
{
    timespec time{};
    clock_gettime(clock, &time);
    return time.tv_sec * std::int64_t{1'000'000} + time.tv_nsec / 1000;
}

// Where nothing is mounted, as where `ip netns exec` has put a /sys of its own: for this program
// alone.
Status mount_tracefs()
{
    if (fs::exists(tracefs / "instances"))
        return Done{};
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("tracefs", tracefs.c_str(), "tracefs", 0, nullptr) != 0)
        return failure("tracefs at " + tracefs.string());
    return Done{};
}

// What instances of ours nobody is left to remove: tracing costs as long as one is there.
void remove_stale()
{
    constexpr std::string_view ours = "wlbctl-";
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(tracefs / "instances", error)) {
        const auto name = entry.path().filename().string();
        if (name.starts_with(ours) && !fs::exists("/proc/" + name.substr(ours.size())))
            rmdir(entry.path().c_str());
    }
}

class Instance {
public:
    Instance() = default;
    Instance(const Instance &) = delete;
    Instance &operator=(const Instance &) = delete;
    ~Instance()
    {
        if (made_)
            rmdir(path_.c_str());
    }

    // To be called once.
    Status open()
    {
        if (!fs::exists(tracefs / "events" / "wlb"))
            return Error{"the kernel has no tracepoints of wlb: the module is not loaded, or is "
                         "older than they are"};
        remove_stale();
        if (mkdir(path_.c_str(), 0700) != 0)
            return failure(path_.string());
        made_ = true;
        return Done{};
    }
    [[nodiscard]] Status write(const fs::path &file, const std::string &text) const
    {
        std::ofstream out(path_ / file);
        if (out << text << std::flush)
            return Done{};
        return failure((path_ / file).string());
    }
    // A module that was unloaded takes its events along, and brings them back switched off.
    [[nodiscard]] bool enabled() const
    {
        std::ifstream in(path_ / "events" / "wlb" / "enable");
        char state = '0'; // 'X': some are
        return (in >> state) && state != '0';
    }
    [[nodiscard]] fs::path pipe() const { return path_ / "trace_pipe"; }

private:
    fs::path path_ = tracefs / "instances" / ("wlbctl-" + std::to_string(getpid()));
    bool made_ = false;
};

struct Wanted {
    Args events = split(event_names, '|');
    std::optional<Address> address;
    std::optional<std::uint64_t> left;
    bool everywhere = false;
};

Status begin(const Instance &instance, const Wanted &wanted)
{
    struct stat own {};
    if (stat("/proc/thread-self/ns/net", &own) != 0)
        return failure("/proc/thread-self/ns/net");
    std::vector<std::pair<fs::path, std::string>> settings{{"trace_clock", "mono"}};
    if (!wanted.everywhere)
        settings.emplace_back("events/wlb/filter", "netns == " + std::to_string(own.st_ino));
    for (const auto &event : wanted.events)
        settings.emplace_back("events/wlb/wlb_" + event + "/enable", "1");
    for (const auto &[file, text] : settings)
        if (auto status = instance.write(file, text); !status)
            return status;
    return Done{};
}

// Until it is interrupted, has shown enough, or nothing can come any more.
class Reader {
public:
    Reader(Context &context, Wanted wanted) : context_(context), wanted_(std::move(wanted)) {}

    Status run(const Instance &instance)
    {
        const auto pipe = instance.pipe();
        // before anything can come: whoever interrupts us must not leave the instance behind
        signals_.async_wait([this](auto, int) { io_.stop(); });
        const int fd = ::open(pipe.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
            return failure(pipe.string());
        file_.assign(fd);
        read();
        watch(instance);
        io_.run();
        file_.close();
        return status_;
    }

private:
    void read()
    {
        asio::async_read_until(file_, asio::dynamic_buffer(text_), '\n',
                               [this](auto error, std::size_t length) {
                                   if (error) {
                                       status_ = Error{"trace_pipe: " + error.message()};
                                       io_.stop();
                                       return;
                                   }
                                   const auto line = text_.substr(0, length - 1);
                                   text_.erase(0, length);
                                   if (take(line))
                                       read();
                                   else
                                       io_.stop();
                               });
    }
    void watch(const Instance &instance)
    {
        timer_.expires_after(std::chrono::seconds(1));
        timer_.async_wait([this, &instance](auto error) {
            if (error)
                return;
            if (instance.enabled()) {
                watch(instance);
                return;
            }
            status_ = Error{"trace: the module was unloaded"};
            io_.stop();
        });
    }
    bool take(const std::string &line)
    {
        if (const auto lost = parse_lost(line); lost != 0)
            context_.err << "wlbctl: trace: " << lost << " events were missed\n";
        const auto traced = parse_traced(line);
        if (!traced || (wanted_.address && !traced->is_about(wanted_.address->text())))
            return true;
        const auto us = traced->us + since_1970_;
        context_.out << (context_.json ? to_json(*traced, us).dump() : to_text(*traced, us)) << "\n"
                     << std::flush;
        return context_.out.good() && (!wanted_.left || --*wanted_.left > 0);
    }

    Context &context_;
    Wanted wanted_;
    asio::io_context io_{1};
    asio::signal_set signals_{io_, SIGINT, SIGTERM};
    asio::steady_timer timer_{io_};
    asio::posix::stream_descriptor file_{io_};
    std::string text_;
    Status status_ = Done{};
    const std::int64_t since_1970_ = now(CLOCK_REALTIME) - now(CLOCK_MONOTONIC);
};

int trace(Context &context, const Command &command, const Args &args)
{
    Options options(context, command);
    options.repeated("event", event_names, "only these")
        .option("address", "ADDRESS", "only what is about it: an end, a replica, a cache")
        .flag("all", "of every network namespace")
        .option("count", "N", "leave after N events");
    if (!options.parse(args))
        return options.status();
    Wanted wanted;
    wanted.everywhere = options.has("all");
    for (const auto &event : options.texts("event"))
        if (std::find(wanted.events.begin(), wanted.events.end(), event) == wanted.events.end())
            options.complain("--event: \"" + event + "\" is none of " + event_names);
    if (options.has("event"))
        wanted.events = options.texts("event");
    options.read("address", &Address::parse, wanted.address);
    options.read("count", &parse_times, wanted.left);
    if (!options.good())
        return options.status();
    if (!context.netns.empty())
        if (const auto entered = enter_namespace(context.netns); !entered)
            return refuse(context, entered.error());
    if (const auto mounted = mount_tracefs(); !mounted)
        return refuse(context, mounted.error());
    Reader reader(context, wanted);
    Instance instance;
    if (const auto opened = instance.open(); !opened)
        return refuse(context, opened.error());
    if (const auto begun = begin(instance, wanted); !begun)
        return refuse(context, begun.error());
    const auto ended = reader.run(instance);
    return ended ? done : refuse(context, ended.error());
}

} // namespace

const std::vector<Command> &trace_commands()
{
    static const std::vector<Command> commands{
        {"trace", "", "[--event EVENT]... [--address ADDRESS] [--all] [--count N]",
         "Show what becomes of SYNs, clones, answers, flows and redirected packets.",
         "trace --address 203.0.113.10", &trace},
    };
    return commands;
}

} // namespace wlb::cli
