-- Identifiers as they are compared. Channels spell them as they like; what is empty identifies nobody.
CREATE MACRO email_key(email) AS nullif(lower(trim(email)), '');
-- The last ten digits: without the country's code, whatever stands between them.
CREATE MACRO phone_key(phone) AS nullif(right(regexp_replace(phone, '[^0-9]', '', 'g'), 10), '');
