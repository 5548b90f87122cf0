// Neighbor Solicitations for addresses of ours, and of nodes that are away: the switch answers by itself (RFC 4861
// section 7.2, RFC 6275 section 10.4.1, RFC 4862 section 5.4 for those who test whether an address is free).
#ifndef BLOCKS_NEIGHBOURS_P4
#define BLOCKS_NEIGHBOURS_P4

// No neighbour has an address below ::/32: such a source is the unspecified one.
#define IS_UNSPECIFIED(address)  (address[127:96] == 0)

const bit<32> FLAG_ROUTER    = 0x80000000;
const bit<32> FLAG_SOLICITED = 0x40000000;
const bit<32> FLAG_OVERRIDE  = 0x20000000;

control Neighbours(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000005) action interface(home_agent_id_t home_agent_id, mac_address_t mac, ipv6_address_t address) {
        meta.interface_known = true;
        meta.interface_home = home_agent_id;
        meta.interface_mac = mac;
        meta.interface_address = address;
    }

    // The ports that have neighbours. The address is that in whose name answers for other nodes leave.
    @id(0x02000004)
    table interfaces {
        key = { meta.ingress_port : exact @id(1) @name("port"); }
        actions = { interface; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_INTERFACES;
    }

    // A proxy leaves O clear (RFC 4861 section 7.2.8); only from the node's own home link it answers at all.
    @id(0x01000006) action answer_for_node(home_agent_id_t home_agent_id, bit<1> router) {
        meta.answerable = true;
        meta.home_difference = meta.interface_home ^ home_agent_id;
        meta.answer_flags[31:31] = router;
    }

    @id(0x01000007) action answer_for_us() {
        meta.answerable = meta.interface_known;
        meta.interface_address = hdr.neighbour.target;
        meta.answer_flags = FLAG_ROUTER | FLAG_OVERRIDE;
    }

    @id(0x02000005)
    table neighbour_proxy {
        key = { hdr.neighbour.target : exact @id(1) @name("target"); }
        actions = { answer_for_node; answer_for_us; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_NEIGHBOUR_PROXY;
    }

    // What is not as it should be, or asks for more than this, is left to the controller.
    apply {
        if (hdr.neighbour.isValid()) {
            interfaces.apply();
        }
        if (hdr.neighbour.isValid()) {
            neighbour_proxy.apply();
        }
        if (hdr.ipv6.hop_limit != LINK_HOP_LIMIT || hdr.neighbour.code != 0 || meta.from_controller) {
            meta.forwarded_question = true;
        }
        // A node that tests whether the target is free has no address yet, and so gives no link-layer address.
        if (IS_UNSPECIFIED(hdr.ipv6.source) && hdr.neighbour_option.isValid()
            && hdr.neighbour_option.type == OPTION_SOURCE_LINK_LAYER) {
            meta.wrong_question = true;
        }
        if (meta.answerable && meta.home_difference == 0 && !meta.forwarded_question && !meta.wrong_question) {
            meta.answered = true;
        }
    }
}

// The solicitation becomes the answer, and goes back where it came from: all in one action, which a chip does in one step.
#define ANSWER(station, address, answer_flags) \
    hdr.ethernet.destination = station; \
    hdr.ethernet.source = meta.interface_mac; \
    hdr.ipv6.traffic_class = 0; \
    hdr.ipv6.flow_label = 0; \
    hdr.ipv6.payload_length = NEIGHBOUR_OCTETS; \
    hdr.ipv6.destination = address; \
    hdr.ipv6.source = meta.interface_address; \
    hdr.neighbour.type = ICMPV6_NEIGHBOR_ADVERTISEMENT; \
    hdr.neighbour.flags = answer_flags; \
    hdr.neighbour_option.setValid(); \
    hdr.neighbour_option.type = OPTION_TARGET_LINK_LAYER; \
    hdr.neighbour_option.length = 1; \
    hdr.neighbour_option.link_layer = meta.interface_mac; \
    meta.egress_port = meta.ingress_port; \
    meta.delivered = true;

control Advertisement(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (IS_UNSPECIFIED(hdr.ipv6.source)) {
            ANSWER(ALL_NODES_MAC, ALL_NODES, meta.answer_flags)
        } else if (hdr.neighbour_option.isValid() && hdr.neighbour_option.type == OPTION_SOURCE_LINK_LAYER) {
            ANSWER(hdr.neighbour_option.link_layer, hdr.ipv6.source, meta.answer_flags | FLAG_SOLICITED)
        } else {
            ANSWER(hdr.ethernet.source, hdr.ipv6.source, meta.answer_flags | FLAG_SOLICITED)
        }
    }
}

#endif
