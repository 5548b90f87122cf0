// Reverse tunnel: who may send through it, and taking the outer header off (RFC 6275 section 10.4.5, RFC 5648 section 6.3).
//
// A home address or mobile network belongs to one node, a care-of address may serve several: so who sends and through which
// tunnel are found side by side, and whether the two belong together is a small lookup after both.
#ifndef BLOCKS_DECAPSULATION_P4
#define BLOCKS_DECAPSULATION_P4

control Terminations(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(termination_counter)

    @id(0x01000010) action terminate(path_id_t path_id) {
        COUNT(termination_counter);
        meta.path_id = path_id;
    }

    @id(0x01000011) action refuse_tunnel() { DROP(UNREGISTERED_OUTER_SOURCE); }

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

    apply {
        tunnel_termination.apply();
    }
}

control Senders(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000012) action sender(node_id_t node_id) { meta.source_node = node_id; }

    @id(0x02000011)
    table home_sources {
        key = { meta.source : exact @id(1) @name("source"); }
        actions = { sender; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_HOME_SOURCES;
    }

    @id(0x02000012)
    table network_sources {
        key = { meta.source : lpm @id(1) @name("source"); }
        actions = { sender; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_NETWORK_SOURCES;
    }

    apply {
        if (!home_sources.apply().hit) {
            network_sources.apply();
        }
    }
}

control SourceCheck(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(source_counter)

    // The BID is for the entry's counter and for whoever reads the table: the check itself is the hit.
    @noWarn("unused") @id(0x01000013) action allow(bid_t bid) { COUNT(source_counter); }

    @id(0x01000014) action refuse_source() { DROP(FORGED_INNER_SOURCE); }

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

    apply {
        source_bindings.apply();
    }
}

// RFC 6040 section 4.2: a mark on the outside goes inside; DSCP stays what it is there.
control Marking(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv6.traffic_class[1:0] == ECN_CE) {
            if (meta.traffic_class[1:0] == ECN_NOT_ECT) {
                DROP(ECN);
            } else {
                meta.traffic_class[1:0] = ECN_CE;
            }
        } else if (hdr.ipv6.traffic_class[1:0] == ECN_ECT1 && meta.traffic_class[1:0] == ECN_ECT0) {
            meta.traffic_class[1:0] = ECN_ECT1;
        }
    }
}

// From here on the inner packet is all there is.
control Unwrapping(inout headers_t hdr, inout metadata_t meta) {
    apply {
        if (hdr.ipv4.isValid()) {
            hdr.ipv4.traffic_class = meta.traffic_class;
            SET_ETHERTYPE(ETHERTYPE_IPV4);
        } else {
            hdr.inner_ipv6.traffic_class = meta.traffic_class;
        }
        hdr.ipv6.setInvalid();
        hdr.tunnel_option.setInvalid();
    }
}

#endif
