// Is the destination a mobile node, and by which of its bindings does this packet go?
#ifndef BLOCKS_STEERING_P4
#define BLOCKS_STEERING_P4

control Nodes(inout headers_t hdr, inout metadata_t meta) {
    @id(0x01000020) action mobile_node(node_id_t node_id) {
        meta.mobile = true;
        meta.node_id = node_id;
    }

    @id(0x02000020) CRITICAL
    table home_addresses {
        key = { meta.destination : exact @id(1) @name("destination"); }
        actions = { mobile_node; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_HOME_ADDRESSES;
    }

    @id(0x02000021) CRITICAL
    table mobile_networks {
        key = { meta.destination : lpm @id(1) @name("destination"); }
        actions = { mobile_node; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_MOBILE_NETWORKS;
    }

    apply {
        if (!home_addresses.apply().hit) {
            mobile_networks.apply();
        }
    }
}

control Steering(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_COUNTER(flow_counter)

    @id(0x01000021) action steer_flow(bid_t bid) {
        COUNT(flow_counter);
        meta.bid = bid;
    }

    @id(0x01000022) action drop_flow() {
        COUNT(flow_counter);
        DROP(POLICY);
    }

    @id(0x01000025) action balance_flow(balance_id_t balance_id) {
        COUNT(flow_counter);
        meta.balance_id = balance_id;
    }

    @id(0x01000026) action replicate_flow(group_id_t group_id) {
        COUNT(flow_counter);
        meta.group_id = group_id;
    }

    // RFC 6089 section 5.3.6: the first match by priority decides.
    @id(0x02000022) CRITICAL
    table flow_bindings {
        key = {
            meta.node_id                : exact   @id(1) @name("node_id");
            meta.source                 : ternary @id(2) @name("source");
            meta.destination            : ternary @id(3) @name("destination");
            meta.upper.protocol         : ternary @id(4) @name("protocol");
            meta.upper.source_port      : PORT_MATCH   @id(5) @name("source_port");
            meta.upper.destination_port : PORT_MATCH   @id(6) @name("destination_port");
            meta.traffic_class          : ternary @id(7) @name("traffic_class");
            meta.flow_label             : ternary @id(8) @name("flow_label");
            MORE_FLOW_KEYS
        }
        actions = { steer_flow; drop_flow; balance_flow; replicate_flow; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_FLOW_BINDINGS;
        TABLE_COUNTER(flow_counter)
    }

    @id(0x01000023) action steer(bid_t bid) { meta.bid = bid; }

    @id(0x01000024) action refuse_unbound() { DROP(NO_BINDING); }

    @id(0x01000027) action balance(balance_id_t balance_id) { meta.balance_id = balance_id; }

    @id(0x01000028) action replicate(group_id_t group_id) { meta.group_id = group_id; }

    @id(0x01000029) action discard() { DROP(POLICY); }

    @id(0x02000023) CRITICAL
    table default_binding {
        key = { meta.node_id : exact @id(1) @name("node_id"); }
        actions = { steer; balance; replicate; discard; @defaultonly refuse_unbound; }
        const default_action = refuse_unbound();
        size = SIZE_DEFAULT_BINDING;
    }

    apply {
        if (!flow_bindings.apply().hit) {
            default_binding.apply();
        }
    }
}

control Balancing(inout headers_t hdr, inout metadata_t meta) {
    @id(0x0100002a) action choose(bid_t bid) { meta.bid = bid; }

    @id(0x0100002b) action refuse_bucket() { DROP(NO_TUNNEL); }

    // A flow's hash chooses the bucket, and a bucket has one BID: when a BID goes away, only the flows of its buckets move.
    @id(0x02000024) CRITICAL
    table balancers {
        key = {
            meta.balance_id     : exact @id(1) @name("balance_id");
            meta.flow_hash[5:0] : exact @id(2) @name("bucket");
        }
        actions = { choose; @defaultonly refuse_bucket; }
        const default_action = refuse_bucket();
        size = SIZE_BALANCERS;
    }

    apply {
        balancers.apply();
    }
}

#endif
