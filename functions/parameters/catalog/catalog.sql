-- Writes a version's catalog: the settings that its PostgreSQL really has. What internal ones say describes a build, not a
-- version, and is left out.
copy (
  select name, unit, context, vartype,
    case when context <> 'internal' then min_val end as min_val,
    case when context <> 'internal' then max_val end as max_val,
    enumvals,
    case when context <> 'internal' then boot_val end as boot_val,
    short_desc
  from pg_settings
  where name not like '%.%'
  order by name collate "C"
) to stdout with (format csv, header)
