-- SPDX-License-Identifier: GPL-2.0-only
-- Wireshark and tshark: the tags of races and the labels of processing, TCP options in SYNs of
-- wlb (include/wlb/tag.h, label.h). In ~/.local/lib/wireshark/plugins, or by tshark -X
-- lua_script:wlb.lua. Filters: wlb.tag.state == 1, wlb.tag.nonce, wlb.label, wlb.malformed.
local tag_kind, label_kind = 253, 254
local states = { [0] = "not permitted", [1] = "permitted", [2] = "answer" }

local wlb = Proto("wlb", "wlb: tags of SYN races")
wlb.prefs.exid = Pref.uint("Experiment identifier", 0x574c,
	"As the module's parameter exid says; a label's is the next one")

local fields = {
	tag = ProtoField.bytes("wlb.tag", "Tag"),
	version = ProtoField.uint8("wlb.tag.version", "Version", base.DEC, nil, 0xf0),
	state = ProtoField.uint8("wlb.tag.state", "State", base.DEC, states, 0x0f),
	offers = ProtoField.uint8("wlb.tag.offers", "Offers", base.HEX),
	nat = ProtoField.bool("wlb.tag.offers.nat", "Return by NAT", 8, nil, 0x01),
	spoof = ProtoField.bool("wlb.tag.offers.spoof", "Return by spoofing", 8, nil, 0x02),
	tunnel = ProtoField.bool("wlb.tag.offers.tunnel", "Return by tunnel", 8, nil, 0x04),
	gre = ProtoField.bool("wlb.tag.offers.gre", "GRE", 8, nil, 0x08),
	udp = ProtoField.bool("wlb.tag.offers.udp", "UDP", 8, nil, 0x10),
	cloned = ProtoField.bool("wlb.tag.offers.cloned", "Cloned", 8, nil, 0x20),
	nonce = ProtoField.uint16("wlb.tag.nonce", "Nonce", base.HEX),
	cookie = ProtoField.uint64("wlb.tag.cookie", "Cookie", base.HEX),
	label = ProtoField.bytes("wlb.label", "Label"),
}
local list = {}
for _, field in pairs(fields) do
	list[#list + 1] = field
end
wlb.fields = list

local malformed = ProtoExpert.new("wlb.malformed", "Tag of another length or version",
	expert.group.MALFORMED, expert.severity.WARN)
wlb.experts = { malformed }

-- One per TCP header, also of those in tunnels.
local all_options = Field.new("tcp.options")

local function dissect_tag(option, tree, info)
	local version = option(4, 1):bitfield(0, 4)
	local item = tree:add(fields.tag, option)

	if (option:len() ~= 8 and option:len() ~= 16) or version ~= 1 then
		item:add_proto_expert_info(malformed)
		return
	end
	item:add(fields.version, option(4, 1))
	item:add(fields.state, option(4, 1))
	local offers = item:add(fields.offers, option(5, 1))
	for _, name in ipairs({ "nat", "spoof", "tunnel", "gre", "udp", "cloned" }) do
		offers:add(fields[name], option(5, 1))
	end
	item:add(fields.nonce, option(6, 2))
	if option:len() == 16 then
		item:add(fields.cookie, option(8, 8))
	end
	local state = states[option(4, 1):bitfield(4, 4)] or "?"
	info.cols.info:append(string.format(" [wlb: %s, nonce %04x]", state, option(6, 2):uint()))
end

local function dissect_options(options, tree, info)
	local at = 0

	while at < options:len() do
		local kind = options(at, 1):uint()
		if kind == 0 then
			return
		end
		local length = 1
		if kind ~= 1 then
			if at + 1 >= options:len() then
				return
			end
			length = options(at + 1, 1):uint()
			if length < 2 or at + length > options:len() then
				return
			end
		end
		if length >= 5 then
			local exid = options(at + 2, 2):uint()
			if kind == tag_kind and exid == wlb.prefs.exid then
				dissect_tag(options(at, length), tree(), info)
			elseif kind == label_kind and exid == wlb.prefs.exid + 1 then
				tree():add(fields.label, options(at + 4, length - 4))
			end
		end
		at = at + length
	end
end

function wlb.dissector(_, info, root)
	local subtree

	-- Only packets with a tag or label get a line of ours.
	local function tree()
		subtree = subtree or root:add(wlb)
		return subtree
	end
	for _, options in ipairs({ all_options() }) do
		dissect_options(options.range, tree, info)
	end
end

register_postdissector(wlb)
