// Reverse tunnel: who may send through it, and taking the outer header off (RFC 6275 section 10.4.5, RFC 5648 section 6.3).
//
// A home address or mobile network belongs to one node, a care-of address may serve several: so who sends and through which
// tunnel are found side by side, and whether the two belong together is a small lookup after both.
#ifndef BLOCKS_DECAPSULATION_P4
#define BLOCKS_DECAPSULATION_P4

control Decapsulation(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(termination_counter)
    DIRECT_COUNTER(source_counter)

    @id(0x01000010) action terminate(path_id_t path_id) {
        COUNT(termination_counter);
        meta.path_id = path_id;
    }

    @id(0x01000011) action refuse_tunnel() {
        COUNT(termination_counter);
        DROP(UNREGISTERED_OUTER_SOURCE);
    }

    @id(0x02000010)
    table tunnel_termination {
        key = {
            meta.home_agent_id : exact @id(1) @name("home_agent_id");
            hdr.ipv6.source    : exact @id(2) @name("source");
        }
        actions = { terminate; @defaultonly refuse_tunnel; }
        const default_action = refuse_tunnel();
        size = SIZE_TUNNEL_TERMINATION;
        TABLE_COUNTER(termination_counter)
    }

    @id(0x01000012) action sender(node_id_t node_id) {
        meta.source_node = node_id;
        meta.source_known = true;
    }

    @id(0x02000011)
    table home_sources {
        key = { meta.inner_source : exact @id(1) @name("source"); }
        actions = { sender; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_HOME_SOURCES;
    }

    @id(0x02000012)
    table network_sources {
        key = { meta.inner_source : lpm @id(1) @name("source"); }
        actions = { sender; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_NETWORK_SOURCES;
    }

    // The BID is for the entry's counter and for whoever reads the table: the check itself is the hit.
    @id(0x01000013) action allow(bid_t bid) {
        COUNT(source_counter);
        meta.bid = bid;
    }

    @id(0x01000014) action refuse_source() {
        COUNT(source_counter);
        DROP(FORGED_INNER_SOURCE);
    }

    @id(0x02000013)
    table source_bindings {
        key = {
            meta.path_id     : exact @id(1) @name("path_id");
            meta.source_node : exact @id(2) @name("node_id");
        }
        actions = { allow; @defaultonly refuse_source; }
        const default_action = refuse_source();
        size = SIZE_SOURCE_BINDINGS;
        TABLE_COUNTER(source_counter)
    }

    // RFC 6040 section 4.2: a mark on the outside goes inside; DSCP stays what it is there.
    apply {
        bit<2> inside = hdr.ipv4.isValid() ? hdr.ipv4.traffic_class[1:0] : hdr.inner_ipv6.traffic_class[1:0];
        bit<2> outside = hdr.ipv6.traffic_class[1:0];

        tunnel_termination.apply();
        if (!home_sources.apply().hit) {
            network_sources.apply();
        }
        if (meta.verdict == verdict_t.FORWARD) {
            source_bindings.apply();
        }
        if (meta.verdict == verdict_t.FORWARD) {
            if (outside == ECN_CE && inside == ECN_NOT_ECT) {
                DROP(ECN);
            } else {
                if (outside == ECN_CE || (outside == ECN_ECT1 && inside == ECN_ECT0)) {
                    inside = outside;
                }
                if (hdr.ipv4.isValid()) {
                    hdr.ipv4.traffic_class[1:0] = inside;
                    hdr.ipv6.setInvalid();
                    SET_ETHERTYPE(ETHERTYPE_IPV4);
                    meta.is_ipv4 = 1;
                } else {
                    hdr.inner_ipv6.traffic_class[1:0] = inside;
                    hdr.ipv6 = hdr.inner_ipv6;
                    hdr.inner_ipv6.setInvalid();
                }
                hdr.tunnel_option.setInvalid();
            }
        }
    }
}

#endif
