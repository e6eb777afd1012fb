"""HTTP of appeals: pages and JSON API of records, search, form and masking."""
