// Where the packet leaves, by its outermost destination.
#ifndef BLOCKS_ROUTING_P4
#define BLOCKS_ROUTING_P4

control Routing(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000040) action next_hop(@refers_to(next_hops, next_hop_id) next_hop_id_t next_hop_id) {
        meta.next_hop_id = next_hop_id;
    }

    // Its source hears that there is no way (RFC 4443 section 3.1).
    @id(0x01000041) action refuse_unrouted() { REPORT(NO_ROUTE, UNREACHABLE); }

    @id(0x02000040) CRITICAL
    table routes {
        key = { meta.destination : lpm @id(1) @name("destination"); }
        actions = { next_hop; refuse_unrouted; }
        const default_action = refuse_unrouted();
        size = SIZE_ROUTES;
    }

    @id(0x01000042) action forward(port_t port, mac_address_t source_mac, mac_address_t destination_mac, mtu_t mtu) {
        meta.egress_port = port;
        hdr.ethernet.source = source_mac;
        hdr.ethernet.destination = destination_mac;
        meta.next_mtu = mtu;
        meta.next_room = mtu |-| meta.last;
    }

    PATH_SELECTOR(paths)

    // Paths of equal cost are actions of one entry. A flow's hash chooses among them, by other bits than those of `balancers`, or
    // all flows of a BID would take one path. What arrives in a tunnel that is not ours is told apart by its flow label
    // (RFC 6438 section 3), and the station address lets a switch choose otherwise than the one before it.
    @id(0x02000041) CRITICAL
    table next_hops {
        key = {
            meta.next_hop_id         : exact @id(1) @name("next_hop_id");
            meta.flow_hash[19:6]     : selector;
            meta.flow_label          : selector;
            hdr.ethernet.destination : selector;
        }
        actions = { forward; @defaultonly SELECTOR_MISS(refuse_unrouted); }
        const default_action = SELECTOR_MISS(refuse_unrouted)();
        size = SIZE_NEXT_HOPS;
        TABLE_SELECTOR(paths)
    }

    apply {
        switch (routes.apply().action_run) {
            next_hop: {
                APPLY_SELECTOR(next_hops, refuse_unrouted)
            }
        }
    }
}

#endif
