// SPDX-License-Identifier: GPL-2.0-only
#include "wlbctl/top_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <vector>

#include "wlbctl/json_text.h"

namespace wlb::cli {

namespace {

constexpr const char *plain = "";
constexpr const char *bold = "\x1b[1m";
constexpr const char *dim = "\x1b[2m";
constexpr const char *reverse = "\x1b[7m";
constexpr const char *green = "\x1b[32m";
constexpr const char *yellow = "\x1b[33m";
constexpr const char *cyan = "\x1b[36m";
constexpr const char *off = "\x1b[0m";

struct Span {
    std::string text;
    const char *look = plain;
};

using Line = std::vector<Span>;

// A column's cells are as wide as the widest of them.
struct Cell {
    std::string text;
    const char *look = plain;
    bool number = false; // to the right
};

struct Section {
    std::vector<Cell> head;
    std::vector<std::vector<Cell>> rows;
};

// "999.9", "1.2k", "3.4M".
std::string short_number(double value)
{
    const char *units[] = {"", "k", "M", "G", "T"};
    const auto *unit = std::begin(units);
    for (; value >= 999.95 && unit != std::end(units) - 1; ++unit)
        value /= 1000;
    return fixed(value, 1) + *unit;
}

std::string text_of(const Rate &rate)
{
    return rate ? short_number(*rate) : "-";
}

Cell number_cell(const Rate &rate)
{
    return {text_of(rate), rate.value_or(0) > 0 ? bold : dim, true};
}

Cell share_cell(double share)
{
    return {fixed(100 * share, 1) + " %", plain, true};
}

Cell bar_cell(double share)
{
    constexpr double width = 20;
    const auto full = static_cast<std::size_t>(std::lround(width * std::clamp(share, 0.0, 1.0)));
    return {std::string(full, '|'), green};
}

// Names may be any octets as far as the kernel goes: a terminal would obey some.
std::string shown(const std::string &name)
{
    auto text = name;
    std::replace_if(
        text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
}

Cell name_cell(const std::string &name, const char *look = plain)
{
    return {shown(name), look};
}

std::vector<Cell> head(std::initializer_list<Cell> cells)
{
    std::vector<Cell> line(cells);
    for (auto &cell : line)
        cell.look = cyan;
    return line;
}

Cell right(const char *text)
{
    return {text, plain, true};
}

std::vector<Section> sections_of(const Rates &rates)
{
    Section wins{head({{"WINNER"}, {"SERVER"}, right("WINS/S"), right("SHARE"), {""}}), {}};
    for (const auto &row : rates.wins)
        wins.rows.push_back({name_cell(row.answerer), name_cell(row.server), number_cell(row.wins),
                             share_cell(row.share), bar_cell(row.share)});
    if (rates.missed != 0)
        wins.rows.push_back(
            {name_cell(std::to_string(rates.missed) + " more races, taken to be as these", dim)});
    Section clones{head({{"REPLICA"}, {"ORIGIN"}, right("CLONES/S")}), {}};
    for (const auto &row : rates.clones)
        clones.rows.push_back(
            {name_cell(row.replica), name_cell(row.origin), number_cell(row.clones)});
    Section caches{
        head({{"GROUP"}, {"CACHE"}, right("PACKETS/S"), right("BYTES/S"), right("SHARE"), {""}}),
        {}};
    for (const auto &group : rates.groups) {
        const auto returned =
            group.returned.value_or(0) > 0 ? "returned " + text_of(group.returned) + "/s" : "";
        caches.rows.push_back({name_cell(group.group, bold), name_cell("all"),
                               number_cell(group.packets), number_cell(group.bytes), Cell{},
                               name_cell(returned, yellow)});
        for (const auto &row : group.caches)
            caches.rows.push_back({name_cell(""), name_cell(row.cache), number_cell(row.packets),
                                   number_cell(row.bytes), share_cell(row.share),
                                   bar_cell(row.share)});
    }
    Section refusals{head({{"REFUSED OR LEFT ALONE"}, right("PER S"), {""}}), {}};
    for (const auto &row : rates.refusals)
        refusals.rows.push_back(
            {name_cell(row.counter, yellow), number_cell(row.rate), name_cell(row.meaning)});
    std::vector<Section> sections;
    for (auto *section : {&wins, &clones, &caches, &refusals})
        if (!section->rows.empty())
            sections.push_back(std::move(*section));
    return sections;
}

// A span for "raced" and one for "12.0/s", in bold unless it is 0 or not known.
void add(Line &line, const std::string &label, const std::string &value)
{
    line.push_back({(line.empty() ? "" : "   ") + label + " "});
    line.push_back({value, value.find_first_of("123456789") == std::string::npos ? dim : bold});
}

std::vector<Line> summary_of(const Rates &rates)
{
    const auto per_second = [](const Rate &rate) { return text_of(rate) + "/s"; };
    std::vector<Line> lines(3);
    add(lines[0], "flows", std::to_string(rates.flows));
    add(lines[0], "racing", std::to_string(rates.racing));
    add(lines[0], "held", std::to_string(rates.held));
    add(lines[0], "SYNs raced", per_second(rates.raced));
    add(lines[0], "unanswered", per_second(rates.unanswered));
    add(lines[1], "won by replicas", per_second(rates.won_by_replicas));
    add(lines[1], "by servers", per_second(rates.won_by_servers));
    add(lines[1], "carried packets", per_second(rates.carried));
    add(lines[1], "fast path", rates.fast_share ? fixed(100 * *rates.fast_share, 1) + " %" : "-");
    add(lines[2], "clones", per_second(rates.cloned));
    add(lines[2], "taken", per_second(rates.taken));
    add(lines[2], "redirected packets", per_second(rates.redirected));
    add(lines[2], "received", per_second(rates.received));
    return lines;
}

// Lines of as many labels with their values as have room; the first of each may have too little.
std::vector<Line> wrapped(const std::vector<Line> &lines, std::size_t columns)
{
    std::vector<Line> all;
    for (const auto &line : lines) {
        std::size_t used = 0;
        for (std::size_t i = 0; i + 1 < line.size(); i += 2) {
            auto label = line[i];
            const auto size = label.text.size() + line[i + 1].text.size();
            if (i == 0 || used + size > columns) {
                all.emplace_back();
                label.text.erase(0, label.text.find_first_not_of(' '));
                used = 0;
            }
            used += label.text.size() + line[i + 1].text.size();
            all.back().push_back(std::move(label));
            all.back().push_back(line[i + 1]);
        }
    }
    return all;
}

std::vector<std::size_t> widths_of(const Section &section)
{
    std::vector<std::size_t> widths;
    const auto widen = [&](const std::vector<Cell> &cells) {
        // What stands alone may be longer than its column.
        for (std::size_t i = 0; i < cells.size() && cells.size() > 1; ++i) {
            widths.resize(std::max(widths.size(), i + 1));
            widths[i] = std::max(widths[i], cells[i].text.size());
        }
    };
    widen(section.head);
    for (const auto &row : section.rows)
        widen(row);
    return widths;
}

Line line_of(const std::vector<Cell> &cells, const std::vector<std::size_t> &widths)
{
    Line line;
    for (std::size_t i = 0; i < cells.size(); ++i) {
        const auto &cell = cells[i];
        const auto space = widths[i] - std::min(widths[i], cell.text.size());
        line.push_back({std::string((i == 0 ? 0 : 2) + (cell.number ? space : 0), ' ')});
        line.push_back({cell.text, cell.look});
        line.push_back({std::string(cell.number ? 0 : space, ' ')});
    }
    return line;
}

// The longest section loses rows until all lines have room, and says how many.
std::vector<std::size_t> fit(const std::vector<Section> &sections, std::size_t room)
{
    std::vector<std::size_t> rows;
    std::size_t lines = 0;
    for (const auto &section : sections) {
        rows.push_back(section.rows.size());
        lines += section.rows.size() + 2;
    }
    for (; lines > room; --lines) {
        const auto longest = std::max_element(rows.begin(), rows.end());
        if (longest == rows.end() || *longest <= 1)
            break;
        --*longest;
    }
    return rows;
}

std::string text_of(const Line &line, const std::optional<Window> &window)
{
    std::string text;
    auto room = window ? window->columns : std::string::npos;
    for (const auto &span : line) {
        const auto part = span.text.substr(0, room);
        room -= room == std::string::npos ? 0 : part.size();
        const bool looks = window && span.look != plain && !part.empty();
        text += looks ? span.look + part + off : part;
    }
    if (!window)
        text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
}

} // namespace

std::string page_of(const Rates &rates, const std::string &title,
                    const std::optional<Window> &window)
{
    auto top = title;
    if (window)
        top.resize(window->columns, ' ');
    std::vector<Line> lines{{{top, reverse}}};
    for (auto &line : wrapped(summary_of(rates), window ? window->columns : 200))
        lines.push_back(std::move(line));
    const auto sections = sections_of(rates);
    const auto rows = fit(sections, window ? window->rows - std::min(window->rows, lines.size())
                                           : std::string::npos);
    for (std::size_t i = 0; i < sections.size(); ++i) {
        const auto &section = sections[i];
        const auto widths = widths_of(section);
        lines.emplace_back();
        lines.push_back(line_of(section.head, widths));
        // The line that says how many more there are takes the place of one of them.
        const bool all = rows[i] == section.rows.size();
        const auto kept = all ? rows[i] : rows[i] - 1;
        for (std::size_t row = 0; row < kept; ++row)
            lines.push_back(line_of(section.rows[row], widths));
        if (!all)
            lines.push_back({{"... " + std::to_string(section.rows.size() - kept) + " more", dim}});
    }
    if (window && lines.size() > window->rows)
        lines.resize(window->rows);
    std::string text;
    for (const auto &line : lines)
        text += text_of(line, window);
    return text;
}

Terminal::Terminal(std::ostream &out) : out_(out)
{
    tcgetattr(STDIN_FILENO, &before_);
    enter();
}

Terminal::~Terminal()
{
    leave();
}

bool Terminal::is_there()
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1;
}

Window Terminal::window()
{
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
        return {80, 24};
    return {size.ws_col, size.ws_row};
}

void Terminal::show(const std::string &page)
{
    // Line over line, so that nothing flickers. Behind the last there is no next one: the
    // terminal would scroll.
    std::string text = "\x1b[H";
    for (std::size_t begin = 0; begin < page.size();) {
        const auto end = page.find('\n', begin);
        text += (begin == 0 ? "" : "\n") + page.substr(begin, end - begin) + "\x1b[K";
        begin = end + 1;
    }
    out_ << text << "\x1b[J" << std::flush;
}

void Terminal::suspend()
{
    leave();
    raise(SIGSTOP);
    enter();
}

void Terminal::enter()
{
    auto keys = before_;
    keys.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    keys.c_cc[VMIN] = 1;
    keys.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    out_ << "\x1b[?1049h\x1b[?25l" << std::flush;
}

void Terminal::leave()
{
    out_ << "\x1b[?25h\x1b[?1049l" << std::flush;
    tcsetattr(STDIN_FILENO, TCSANOW, &before_);
}

} // namespace wlb::cli
