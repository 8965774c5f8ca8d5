-- Raw events in the order of one type's time, and by product.
--
-- Why        the last events of a type, the steps of a funnel and the halves of a join are read by
--            type and time; a product that changes its category moves what its events have counted.
-- Invariant  none.
-- Size       about 90 bytes an event for the first, 40 bytes an event with a product for the second.
-- Locks      writers of stream_events wait while the indexes are built.

create index stream_events_by_type_idx on stream_events (event_type, event_time, event_id);

create index stream_events_by_product_idx on stream_events (product_id, event_time)
  where product_id is not null;
