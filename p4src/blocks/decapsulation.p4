// Reverse tunnel: who may send through it, and taking the outer header off (RFC 6275 section 10.4.5, RFC 5648 section 6.3).
#ifndef BLOCKS_DECAPSULATION_P4
#define BLOCKS_DECAPSULATION_P4

control Decapsulation(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(termination_counter)
    DIRECT_COUNTER(host_source_counter)
    DIRECT_COUNTER(network_source_counter)

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
            hdr.ipv6.source      : exact @id(1) @name("source");
            hdr.ipv6.destination : exact @id(2) @name("destination");
        }
        actions = { terminate; @defaultonly refuse_tunnel; }
        const default_action = refuse_tunnel();
        size = SIZE_TUNNEL_TERMINATION;
        TABLE_COUNTER(termination_counter)
    }

    // The node and BID are for the entry's counter and for whoever reads the table: the check itself is the hit.
    @id(0x01000012) action allow_host(node_id_t node_id, bid_t bid) {
        COUNT(host_source_counter);
        meta.node_id = node_id;
        meta.bid = bid;
    }

    @id(0x02000011)
    table host_sources {
        key = {
            meta.path_id          : exact @id(1) @name("path_id");
            hdr.inner_ipv6.source : exact @id(2) @name("source");
        }
        actions = { allow_host; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_HOST_SOURCES;
        TABLE_COUNTER(host_source_counter)
    }

    @id(0x01000013) action allow_network(node_id_t node_id, bid_t bid) {
        COUNT(network_source_counter);
        meta.node_id = node_id;
        meta.bid = bid;
    }

    @id(0x02000012)
    table network_sources {
        key = {
            meta.path_id          : exact @id(1) @name("path_id");
            hdr.inner_ipv6.source : lpm   @id(2) @name("source");
        }
        actions = { allow_network; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_NETWORK_SOURCES;
        TABLE_COUNTER(network_source_counter)
    }

    apply {
        tunnel_termination.apply();
        if (meta.verdict == verdict_t.FORWARD) {
            bool allowed = host_sources.apply().hit;
            if (!allowed) {
                allowed = network_sources.apply().hit;
            }
            if (!allowed) {
                DROP(FORGED_INNER_SOURCE);
            } else if (hdr.ipv6.traffic_class[1:0] == ECN_CE && hdr.inner_ipv6.traffic_class[1:0] == ECN_NOT_ECT) {
                DROP(ECN);
            } else {
                // RFC 6040 section 4.2: a mark on the outside goes inside; DSCP stays what it is there.
                if (hdr.ipv6.traffic_class[1:0] == ECN_CE) {
                    hdr.inner_ipv6.traffic_class[1:0] = ECN_CE;
                } else if (hdr.ipv6.traffic_class[1:0] == ECN_ECT1 && hdr.inner_ipv6.traffic_class[1:0] == ECN_ECT0) {
                    hdr.inner_ipv6.traffic_class[1:0] = ECN_ECT1;
                }
                hdr.ipv6 = hdr.inner_ipv6;
                hdr.inner_ipv6.setInvalid();
                hdr.tunnel_option.setInvalid();
            }
        }
    }
}

#endif
