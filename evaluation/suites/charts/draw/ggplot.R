# Draws one figure with ggplot2: the specification as JSON on standard input, plot areas as JSON on standard output.
suppressPackageStartupMessages({library(ggplot2); library(jsonlite); library(grid)})

spec <- fromJSON(file("stdin"), simplifyVector = FALSE)
look <- spec$look
colours <- unlist(look$colours)
set.seed(look$width + look$height + nchar(spec$path))

long <- function(panel, index) {
  do.call(rbind, lapply(seq_along(panel$series), function(i) {
    series <- panel$series[[i]]
    data.frame(
      panel = index,
      series = if (is.null(series$name)) "s" else series$name,
      x = sapply(series$points, function(p) p[[1]]),
      y = sapply(series$points, function(p) p[[2]]),
      error = if (length(look$errors) >= i) unlist(look$errors[[i]]) else 0
    )
  }))
}

themed <- function(plot) {
  base <- switch(look$theme, plain = theme_bw, grey = theme_grey, minimal = theme_minimal)
  place <- switch(look$legend, inside = NULL, right = "right", below = "bottom", top = "top", none = "none")
  plot <- plot + base(base_size = look$font_pt) + theme(
    plot.background = element_rect(fill = look$background, colour = NA), legend.title = element_blank()
  )
  if (!is.null(place)) plot <- plot + theme(legend.position = place)
  corner <- c(if (look$corner[[2]] == "right") 1 else 0, if (look$corner[[1]] == "top") 1 else 0)
  if (is.null(place)) plot <- plot + theme(legend.position = 0.01 + 0.98 * corner, legend.justification = corner)
  if (!look$grid && look$theme != "grey") plot <- plot + theme(panel.grid = element_blank(), axis.line = element_line())
  if (look$rotate_ticks) plot <- plot + theme(axis.text.x = element_text(angle = 45, hjust = 1))
  if (!is.null(look$title)) plot <- plot + ggtitle(look$title)
  plot
}

value_scale <- function(axis, which) {
  limits <- c(axis$low, axis$high)
  continuous <- if (which == "x") scale_x_continuous else scale_y_continuous
  if (axis$scale == "date") {
    return(scale_x_date(limits = as.Date(limits, origin = "1970-01-01"), expand = c(0, 0)))
  }
  if (axis$scale == "log") {
    powers <- 10^seq(ceiling(log10(limits[1])), floor(log10(limits[2])))
    labels <- if (look$grid) waiver() else function(v) parse(text = paste0("10^", round(log10(v))))
    return(continuous(trans = "log10", limits = limits, expand = c(0, 0), breaks = powers, labels = labels))
  }
  continuous(limits = limits, expand = c(0, 0))
}

lines_plot <- function(panel, data) {
  levels <- unique(data$series)
  data$series <- factor(data$series, levels = levels)
  if (panel$x$scale == "date") data$x <- as.Date(data$x, origin = "1970-01-01")
  plot <- ggplot(data, aes(x, y, colour = series, linetype = series, shape = series))
  if (look$band) plot <- plot + geom_ribbon(
    aes(ymin = y - error, ymax = y + error, fill = series), alpha = 0.25, colour = NA
  ) + scale_fill_manual(values = colours)
  size <- look$line_px / 2.8
  if (length(look$errors) && !look$band) plot <- plot + geom_errorbar(
    aes(ymin = y - error, ymax = y + error), width = 0.02 * (panel$x$high - panel$x$low), linewidth = size * 0.7, linetype = 1
  )
  plot <- plot + geom_line(linewidth = size)
  if (look$markers) plot <- plot + geom_point(size = 1.2 + 2 * size)
  kinds <- if (look$dashes) c("solid", "dashed", "dotted", "dotdash", "longdash") else rep("solid", 8)
  plot + scale_colour_manual(values = colours) + scale_linetype_manual(values = kinds) +
    scale_shape_manual(values = c(16, 15, 17, 18, 1, 0, 2, 5)) + value_scale(panel$x, "x") + value_scale(panel$y, "y")
}

scatter_plot <- function(panel, data) {
  data$series <- factor(data$series, levels = unique(data$series))
  ggplot(data, aes(x, y, colour = series, shape = series)) + geom_point(size = 1 + look$line_px, alpha = 0.9) +
    scale_colour_manual(values = colours) + value_scale(panel$x, "x") + value_scale(panel$y, "y")
}

bars_plot <- function(panel, data) {
  names <- unique(data$series)
  categories <- unlist(if (panel$horizontal) panel$y$categories else panel$x$categories)
  data$series <- factor(data$series, levels = names)
  data$x <- factor(data$x, levels = categories)
  axis <- if (panel$horizontal) panel$x else panel$y
  placing <- if (panel$kind == "grouped_bar") position_dodge(0.8) else position_stack(reverse = TRUE)
  width <- if (panel$kind == "grouped_bar") 0.8 else 0.65
  plot <- ggplot(data, aes(x, y, fill = series)) +
    geom_col(position = placing, width = width, colour = if (look$frame) "black" else NA) +
    scale_fill_manual(values = colours) + value_scale(axis, "y")
  if (look$values) plot <- plot + geom_text(
    aes(label = sprintf(paste0("%.", look$decimals, "f"), y)), position = placing, size = look$font_pt * 0.25,
    vjust = if (panel$horizontal) 0.5 else -0.4, hjust = if (panel$horizontal) -0.2 else 0.5
  )
  if (length(look$errors)) plot <- plot + geom_errorbar(aes(ymin = y - error, ymax = y + error), width = 0.2)
  if (length(names) == 1) plot <- plot + theme(legend.position = "none")
  if (panel$horizontal) plot + coord_flip() else plot
}

not_read <- function(panel) {
  low <- panel$y$low
  high <- panel$y$high
  values <- low + (high - low) * pmin(pmax(rnorm(240, 0.5, 0.18), 0), 1)
  group <- rep(c("A", "B", "C", "D"), each = 60)
  cells <- expand.grid(column = 1:20, row = 1:12)
  data <- data.frame(value = values, group = group, time = rep(1:60, 4), cells)
  counts <- data.frame(group = c("Alpha", "Beta", "Gamma", "Delta"), n = c(35, 27, 21, 17))
  switch(spec$form,
    heat_map = ggplot(data, aes(column, row, fill = value)) + geom_tile() + scale_fill_viridis_c(),
    box_plot = ggplot(data, aes(group, value, fill = group)) + geom_boxplot() + scale_fill_manual(values = colours),
    violin = ggplot(data, aes(group, value, fill = group)) + geom_violin() + scale_fill_manual(values = colours),
    histogram = ggplot(data, aes(value)) + geom_histogram(bins = 20, fill = colours[1], colour = "white"),
    pie = ggplot(counts, aes("", n, fill = group)) + geom_col(width = 1) + coord_polar("y") + theme_void(),
    area = ggplot(data, aes(time, abs(value), fill = group)) + geom_area() + scale_fill_manual(values = colours),
    density_2d = ggplot(data, aes(value, rev(value) + rnorm(240, 0, (high - low) / 9))) + geom_density_2d_filled()
  )
}

panels <- spec$panels
first <- panels[[1]]
if (!is.null(first$abstain)) {
  plots <- list(themed(not_read(first) + labs(x = first$x$title, y = first$y$title)))
} else {
  plots <- lapply(seq_along(panels), function(i) {
    panel <- panels[[i]]
    data <- long(panel, i)
    plot <- themed(switch(panel$kind, line = lines_plot, scatter = scatter_plot, bars_plot)(panel, data))
    if (length(panel$series) == 1) plot <- plot + theme(legend.position = "none")
    x <- panel$x$title
    y <- panel$y$title
    plot + if (panel$horizontal) labs(x = y, y = x) else labs(x = x, y = y)
  })
}

png(spec$path, width = look$width, height = look$height, res = 96, type = "cairo")
areas <- list()
columns <- if (length(plots) < 4) length(plots) else 2
rows <- ceiling(length(plots) / columns)
grid.newpage()
pushViewport(viewport(layout = grid.layout(rows, columns)))
for (i in seq_along(plots)) {
  pushViewport(viewport(layout.pos.row = (i - 1) %/% columns + 1, layout.pos.col = (i - 1) %% columns + 1))
  drawn <- ggplotGrob(plots[[i]])
  grid.draw(drawn)
  found <- grep("^panel\\.", drawn$layout$name)
  cell <- drawn$layout[grep("^panel", drawn$layout$name)[1], ]
  name <- paste0(cell$name, ".", cell$t, "-", cell$r, "-", cell$b, "-", cell$l)
  depth <- downViewport(name)
  low <- deviceLoc(unit(0, "npc"), unit(0, "npc"), valueOnly = TRUE)
  high <- deviceLoc(unit(1, "npc"), unit(1, "npc"), valueOnly = TRUE)
  areas[[i]] <- c(low$x * 96, look$height - high$y * 96, high$x * 96, look$height - low$y * 96)
  upViewport(depth)
  upViewport()
}
invisible(dev.off())
cat(toJSON(areas, digits = 3))
